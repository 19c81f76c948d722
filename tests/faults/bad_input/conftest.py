"""Ingest's bench, as its own tests have it: a real ledger, a folder as store, a clock that the test turns."""

from tests.services.ingest.conftest import bench, folder, ledger, migrated

__all__ = ["bench", "folder", "ledger", "migrated"]
