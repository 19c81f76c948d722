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

    sample: SampleKey
    verdict: Literal["hold", "pass"]
    actor: Actor
    reason: Text

    @property
    def subject(self) -> str:
        return self.sample

    @property
    def key(self) -> str:
        return self.sample


class SampleTagRequested(Command):
    """Tags a sample, or takes the tag away, so that a freeze can select by tag."""

    TYPE: ClassVar[str] = "sample.tag.requested"

    sample: SampleKey
    tag: Name
    present: bool = True
    actor: Actor

    @property
    def subject(self) -> str:
        return self.sample

    @property
    def key(self) -> str:
        return self.sample


class SampleWithdrawalRequested(Command):
    """Consent is withdrawn: leave every later cohort, purge by the deadline."""

    TYPE: ClassVar[str] = "sample.withdrawal.requested"

    sample: SampleKey
    deadline: date
    actor: Actor

    @property
    def subject(self) -> str:
        return self.sample

    @property
    def key(self) -> str:
        return self.sample


class SampleWithdrawn(Event):
    """One service has done what a withdrawal asks of it."""

    TYPE: ClassVar[str] = "sample.withdrawn"

    sample: SampleKey
    service: Name

    @property
    def subject(self) -> str:
        return self.sample

    @property
    def key(self) -> str:
        return self.sample

    @property
    def occurrence(self) -> str:
        return self.service


class WorkCancelRequested(Command):
    """Cancel every task of a subject (a run, a sample, a freeze) that has not ended, in every service."""

    TYPE: ClassVar[str] = "work.cancel.requested"

    target: Annotated[str, Field(min_length=1, max_length=120)]
    actor: Actor
    reason: Text

    @property
    def subject(self) -> str:
        return self.target

    @property
    def key(self) -> str:
        return self.target


class QuarantineDecisionRequested(Command):
    """Replay or discard one quarantined event of one service."""

    TYPE: ClassVar[str] = "quarantine.decision.requested"

    service: Name
    item: Annotated[int, Field(ge=1)]
    decision: Literal["replay", "discard"]
    actor: Actor
    reason: Text

    @property
    def subject(self) -> str:
        return f"{self.service}/{self.item}"

    @property
    def key(self) -> str:
        return self.service
