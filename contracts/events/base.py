"""What every event is: a frozen value with a type, a subject, a partition key and a repeatable id."""

from __future__ import annotations

import uuid
from enum import StrEnum
from operator import attrgetter
from typing import ClassVar

from pydantic import ConfigDict

from contracts.values import Value

NAMESPACE = uuid.UUID("6f1d3c0a-5b0e-5d0f-9a43-8e2f6a1f7c55")
"""The name space of our UUIDv5 event ids. Changing it would make every event a new one."""

MAX_EVENT_BYTES = 64 * 1024
"""Lists that grow with a cohort go into a manifest object; Kafka's default limit is 1 MiB, so 64 KiB leaves room."""


class EventKind(StrEnum):
    fact = "fact"
    command = "command"


class Event(Value):
    """Base of all events.

    Producers are strict: making an event with a field that it does not have is refused. Readers ignore what they do
    not know: `contracts.envelope.decode` validates with `extra="ignore"`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str]
    """Topic name and event type are one, e.g. `run.completed`."""
    MAJOR: ClassVar[int] = 1
    KIND: ClassVar[EventKind] = EventKind.fact
    SUBJECT: ClassVar[str]
    """The field that says what the event is about, e.g. `run` or `sample.key`."""
    KEY: ClassVar[str] = ""
    """The field that is Kafka's partition key, where it is not the subject."""
    ONCE_PER: ClassVar[str]
    """What the event's id is made from, in words: a fact is told once per this."""
    TAKEN_BACK: ClassVar[bool] = True
    """Does a restore from backup take it back when it was told after the backup? It does what the restored services
    tell again; it leaves what nobody could tell again."""

    @property
    def subject(self) -> str:
        """What the event is about: a run id, a sample key, a freeze id, an artifact id."""
        return str(attrgetter(self.SUBJECT)(self))

    @property
    def key(self) -> str:
        """Kafka's partition key: order holds among events of one key of one topic, nowhere else."""
        return str(attrgetter(self.key_field())(self))

    @classmethod
    def key_field(cls) -> str:
        return cls.KEY or cls.SUBJECT

    @property
    def occurrence(self) -> str:
        """What tells this event from others of its type and subject: a version, a counter or a request id."""
        raise NotImplementedError

    @property
    def event_id(self) -> uuid.UUID:
        """UUIDv5 of (type, subject, occurrence): the same fact always has the same id."""
        return uuid.uuid5(NAMESPACE, f"{self.TYPE}|{self.subject}|{self.occurrence}")

    def id_in(self, incarnation: int) -> uuid.UUID:
        """The id in a ledger's life of that number, from 1. After a restore from backup a fact may be made again with
        other content: then it is another event about the same subject, and no id is used twice."""
        if incarnation == 1 or self.KIND is EventKind.command:
            return self.event_id
        return uuid.uuid5(NAMESPACE, f"{self.TYPE}|{self.subject}|{self.occurrence}|{incarnation}")

    @classmethod
    def ce_type(cls) -> str:
        return f"cohortstream.{cls.TYPE}.v{cls.MAJOR}"


class Command(Event):
    """Someone asks. Its id comes from its request id, so that asking twice with one request id is asking once."""

    KIND: ClassVar[EventKind] = EventKind.command
    TAKEN_BACK: ClassVar[bool] = False
    ONCE_PER: ClassVar[str] = "subject and request id"

    request_id: uuid.UUID
    """Drawn by whoever asks: asking twice with one request id is asking once."""

    @property
    def occurrence(self) -> str:
        return str(self.request_id)
