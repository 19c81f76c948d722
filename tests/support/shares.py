"""How two processes share the tests (`pytest -n 2`): a module, or modules with one costly thing between them, is never
divided, and what takes longest begins first, so that neither process waits long for the other at the end.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "tests/faults/whole/": "one plant of six services",
    "tests/e2e/": "one demo",
    "tests/services/align/engines/": "what bwa and GATK made once",
    "tests/services/jointcall/engines/": "one workspace of GATK's",
    "tests/oracle/": "one warm GATK",
    "tests/services/ingest/": "one migrated ledger",
    "tests/chassis/storage/": "one S3",
}
"""By how their paths begin."""
FIRST = ("tests/faults/whole/", "tests/e2e/", "tests/soak/", "tests/phi/", "tests/services/", "tests/faults/")


def share_of(nodeid: str) -> str:
    """What runs in one process with this test."""
    shared = (beginning for beginning in TOGETHER if nodeid.startswith(beginning))
    return next(shared, nodeid.partition("::")[0])


def turn_of(nodeid: str) -> int:
    """The smaller, the earlier."""
    return next((turn for turn, beginning in enumerate(FIRST) if nodeid.startswith(beginning)), len(FIRST))


class Shares(LoadScopeScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return share_of(nodeid)
