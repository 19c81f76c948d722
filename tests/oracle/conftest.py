from __future__ import annotations

from tests.support.warmed import compiled

__all__ = ("compiled",)
