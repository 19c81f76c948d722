"""Commands of people: hold or pass a sample, withdraw it, cancel work, decide on quarantined events."""

from __future__ import annotations

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from contracts.events.base import Command, Event
from contracts.values import Actor, Name, SampleKey, Text


class SampleVerdictRequested(Command):
    """A person overrides a sample's QC verdict, by name and with a reason."""

    TYPE: ClassVar[str] = "sample.verdict.requested"
    SUBJECT: ClassVar[str] = "sample"

    sample: SampleKey
    """The sample's key."""
    verdict: Literal["hold", "pass"]
    """`hold` keeps it out of freezes, `pass` lets it in."""
    actor: Actor
    """Who decides."""
    reason: Text
    """Why, in words."""


class SampleTagRequested(Command):
    """Tags a sample, or takes the tag away, so that a freeze can select by tag."""

    TYPE: ClassVar[str] = "sample.tag.requested"
    SUBJECT: ClassVar[str] = "sample"

    sample: SampleKey
    """The sample's key."""
    tag: Name
    """The tag."""
    present: bool = True
    """False takes the tag away."""
    actor: Actor
    """Who tags."""


class SampleWithdrawalRequested(Command):
    """Consent is withdrawn: leave every later cohort, purge by the deadline."""

    TYPE: ClassVar[str] = "sample.withdrawal.requested"
    SUBJECT: ClassVar[str] = "sample"

    sample: SampleKey
    """The sample's key."""
    deadline: date
    """The day by which everything that holds the sample is purged or rewritten."""
    actor: Actor
    """Who records the withdrawal."""
    reason: Text | None = None
    """Why, in words, where it is said."""


class SampleWithdrawn(Event):
    """One service has done what a withdrawal asks of it."""

    TYPE: ClassVar[str] = "sample.withdrawn"
    ONCE_PER: ClassVar[str] = "sample and service"
    SUBJECT: ClassVar[str] = "sample"

    sample: SampleKey
    """The sample's key."""
    service: Name
    """The service that has done its part."""

    @property
    def occurrence(self) -> str:
        return self.service


class WorkCancelRequested(Command):
    """Cancel every task of a subject (a run, a sample, a freeze) that has not ended, in every service."""

    TYPE: ClassVar[str] = "work.cancel.requested"
    SUBJECT: ClassVar[str] = "target"

    target: Annotated[Text, Field(max_length=120)]
    """A run id, a sample key or a freeze id."""
    actor: Actor
    """Who asks."""
    reason: Text
    """Why, in words."""


class WorkReviveRequested(Command):
    """Give the dead tasks of a subject (a run, a sample) new budgets; what they had finished is kept."""

    TYPE: ClassVar[str] = "work.revive.requested"
    SUBJECT: ClassVar[str] = "target"

    target: Annotated[Text, Field(max_length=120)]
    """The run or the sample key whose work is to be tried again."""
    actor: Actor
    """Who asks for it."""
    reason: Text
    """What was mended, in words."""


class QuarantineDecisionRequested(Command):
    """Replay or discard one quarantined event of one service."""

    TYPE: ClassVar[str] = "quarantine.decision.requested"
    KEY: ClassVar[str] = "service"
    TAKEN_BACK: ClassVar[bool] = True  # a restored quarantine may give the item's number to another event

    service: Name
    """The service whose quarantine it is."""
    item: Annotated[int, Field(ge=1)]
    """The item's number in that quarantine."""
    decision: Literal["replay", "discard"]
    """Try it again, or throw it away."""
    actor: Actor
    """Who decides."""
    reason: Text
    """Why, in words."""

    @property
    def subject(self) -> str:
        return f"{self.service}/{self.item}"
