"""Stores of artifacts: one protocol (store.py), `s3://` and `file://` behind it, one key layout (keys.py)."""

from chassis.storage.open import open_store
from chassis.storage.store import Archived, ObjectFacts, ObjectMissing, Store, Stored, StoreUnavailable, tags_of

__all__ = ["Archived", "ObjectFacts", "ObjectMissing", "Store", "StoreUnavailable", "Stored", "open_store", "tags_of"]
