"""Who may do what, drawn from the contracts, the services' consumer groups and the one layout of keys.

A site has these accounts, of the same name in Postgres, Kafka and the object store: one for each service, one for the
console, and in Postgres one more for each service's workers. The administrator's is not among them: it makes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from chassis.storage import keys
from contracts.parties import CONSOLE, PARTIES, SERVICES

PREFIX = "cohortstream_"
"""Begins the name of every account of ours: what bears it and is none of the accounts below loses what it has."""
ADMIN = f"{PREFIX}admin"


class Role(StrEnum):
    """What a process does with its account."""

    consume = "consume"
    work = "work"
    console = "console"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    role: Role
    party: str
    """A service, or the console."""

    @property
    def name(self) -> str:
        return f"{PREFIX}{self._own}".replace("-", "_")

    @property
    def _own(self) -> str:
        return f"{self.party}-work" if self.role is Role.work else self.party

    def secret(self, server: str) -> str:
        """The file that holds its password at `server` (postgres, kafka or store), within the folder of secrets."""
        return f"{server}-{self._own}"


def account_of(party: str) -> Account:
    """Of a service's consumer or of the console: the one that all three servers know."""
    return Account(role=Role.console if party == CONSOLE else Role.consume, party=party)


def worker_of(service: str) -> Account:
    return Account(role=Role.work, party=service)


ACCOUNTS = tuple(account_of(party) for party in (*SERVICES, CONSOLE))
"""In Kafka and in the store. Workers need no Kafka, and a service has one key for its store."""
LEDGER_ACCOUNTS = (*ACCOUNTS, *(worker_of(service) for service in SERVICES))
"""In Postgres."""


def consumed(party: str) -> frozenset[str]:
    """Topics that it reads."""
    return frozenset(topic for topic, parties in PARTIES.items() if party in parties.consumers)


def produced(party: str) -> frozenset[str]:
    """Topics that it writes."""
    return frozenset(topic for topic, parties in PARTIES.items() if party in parties.producers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """One permission in Kafka. READ and WRITE include DESCRIBE."""

    resource: str
    """`topic` or `group`."""
    name: str
    operation: str
    """`READ`, `WRITE` or `DESCRIBE`."""


def permits(party: str) -> frozenset[Permit]:
    """What an account may do in Kafka. The idempotent producer needs no more than WRITE on a topic.

    The console counts what topics hold and how far groups have come, and reads no event: it reads the ledgers' views.
    """
    from chassis.messaging.consumer import group_of  # brings the whole client along

    writes = {Permit(resource="topic", name=topic, operation="WRITE") for topic in produced(party)}
    if party == CONSOLE:
        looks = {Permit(resource="topic", name=topic, operation="DESCRIBE") for topic in PARTIES}
        groups = {Permit(resource="group", name=group_of(service), operation="DESCRIBE") for service in SERVICES}
        return frozenset(writes | looks | groups)
    reads = {Permit(resource="topic", name=topic, operation="READ") for topic in consumed(party)}
    return frozenset(writes | reads | {Permit(resource="group", name=group_of(party), operation="READ")})


MANIFESTS = keys.manifest(sha256="0" * 64).rpartition("/")[0]
"""Where manifests named by their content lie: whoever makes a list writes it, whoever acts on one reads it."""
PROBE = f"{keys.WORKING}/probe"
"""Where opening a store tries what it can do: a few bytes, gone at once."""


def own_prefix(service: str) -> str:
    """Where a service's tasks write their outputs."""
    return keys.task_prefix(service=service, task_key="any").rpartition("/")[0]


OUTPUTS: dict[str, tuple[str, ...]] = {
    "ingest": (keys.LANDING,),
    "jointcall": (MANIFESTS,),
    "vqsr": (MANIFESTS,),
    "annotate": (keys.RELEASED,),
}
"""Where a service writes beside its own prefix."""
UPSTREAM: dict[str, tuple[str, ...]] = {
    "align": ("ingest",),
    "jointcall": ("align",),
    "vqsr": ("jointcall",),
    "annotate": ("vqsr",),
}
"""Whose outputs a service's tasks read. Narrower than the topics: a withdrawal reaches everyone, reads only align."""
WITHOUT_REFERENCE = ("ingest",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Folders of the object store by what an account may do below them; "" is the whole store."""

    read: tuple[str, ...]
    write: tuple[str, ...]
    delete: tuple[str, ...]

    @property
    def listed(self) -> tuple[str, ...]:
        return _sorted((*self.read, *self.delete))


def reach(party: str) -> Reach:
    """Where an account may read (tags too), write and delete. What it writes it may read: the store's answer to a write
    is verified, and a write that must happen once is compared with what is there.

    The archive tiers, purges and takes the inventory, so it reaches everything.
    """
    if party == "archive":
        return Reach(read=("",), write=("",), delete=("",))
    if party == CONSOLE:
        seen = _sorted((keys.REFERENCE, keys.RELEASED, MANIFESTS, PROBE))
        return Reach(read=seen, write=_sorted((keys.REFERENCE, PROBE)), delete=(PROBE,))
    writes = (*outputs(party), PROBE)
    inputs = [place for service in UPSTREAM.get(party, ()) for place in outputs(service)]
    reference = () if party in WITHOUT_REFERENCE else (keys.REFERENCE,)
    return Reach(
        read=_sorted((*writes, *inputs, *reference)),
        write=_sorted(writes),
        delete=_sorted((own_prefix(party), PROBE)),
    )


def outputs(service: str) -> tuple[str, ...]:
    return (own_prefix(service), *OUTPUTS.get(service, ()))


def _sorted(places: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(places)))
