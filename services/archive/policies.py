"""Policies as data: which artifacts go where, from when, and which guards must hold. Read from TOML."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from chassis.errors import Rejected, excerpt, reject
from chassis.storage.store import ARCHIVED_CLASSES
from chassis.storage.stub import COLD
from contracts.values import ArtifactKind, Name
from services.archive.facts import Tiering
from services.archive.prices import EXAMPLES, PURGE, Price, coldness

BUILT_IN = Path(__file__).parent / "policies.toml"
DEMO = Path(__file__).parent / "policies_demo.toml"
"""Everything moves at once: for `settings.archive.policies` of the demo."""

WITHDRAWAL = "withdrawal"
"""The name under which a withdrawn sample's artifacts go. No policy of a file may bear it."""

RESTORED = "restored-copy"
"""The name under which a copy that was brought back from a cold place is taken away again. No policy of a file may bear
it."""
OWN_NAMES = (WITHDRAWAL, RESTORED)

_AGE = re.compile(r"(\d{1,6})\s*([smhd])")
_UNIT = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

GuardName = Literal[
    "cram-verified-fingerprint",
    "cram-ready",
    "gvcf-passed",
    "panel-released",
    "not-referenced-by-open-freeze",
    "superseded",
    "no-hold",
    "minimum-size",
    "minimum-stay",
]
Trigger = Literal["cram.ready", "gvcf.ready", "panel.released"]
Stage = Literal["ingest", "align", "jointcall", "vqsr", "annotate"]

PROOF: Mapping[ArtifactKind, GuardName | None] = {
    ArtifactKind.fastq: "cram-verified-fingerprint",
    ArtifactKind.lane_bam: "cram-ready",
    ArtifactKind.cram: "superseded",
    ArtifactKind.workspace: None,
    ArtifactKind.log: None,
}
"""What may be purged, and the guard that proves its replacement. It holds whether the policy names it or not; what is
not listed here cannot be made again from anything kept, so no policy may purge it."""


def _age(text: Any) -> timedelta:
    if isinstance(text, str) and (found := _AGE.fullmatch(text.strip())):
        return timedelta(**{_UNIT[found[2]]: int(found[1])})
    raise PydanticCustomError("AGE", "an age is a number and a unit: 90s, 15m, 12h or 30d")


class Policy(BaseModel):
    """One rule. `after` counts from `event`, or from when the artifact was recorded where there is no event."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    kind: Annotated[
        tuple[ArtifactKind, ...],
        BeforeValidator(lambda kind: (kind,) if isinstance(kind, str) else kind),
        Field(min_length=1),
    ]
    stage: Stage | None = None
    event: Trigger | None = None
    after: Annotated[timedelta, BeforeValidator(_age)] = timedelta(0)
    storage_class: Literal["STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE", "COLD"] | None = None
    purge: bool = False
    guards: tuple[GuardName, ...] = ()

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        if self.purge == (self.storage_class is not None):
            raise PydanticCustomError("ACTION", "a policy either names a storage_class or says purge = true")
        unproven = [kind.value for kind in self.kind if self.purge and kind not in PROOF]
        if unproven:
            raise PydanticCustomError(
                "PURGE", "nothing that is kept replaces a {kind}: a policy cannot purge it", {"kind": unproven[0]}
            )
        return self

    @property
    def action(self) -> str:
        """The storage class, or `purge`."""
        return self.storage_class or PURGE

    def guards_for(self, kind: ArtifactKind) -> tuple[str, ...]:
        """The guards named, the proof that a purge of this kind needs, and `no-hold`, which always must hold."""
        proof = PROOF.get(kind) if self.purge else None
        return tuple(dict.fromkeys((*self.guards, *((proof,) if proof else ()), "no-hold")))

    def takes(self, *, kind: ArtifactKind, stage: str, tier: str, warm: bool = False) -> bool:
        """Whether this artifact is meant, and not as cold already. `warm`: it lies in a cold place and here too."""
        if self.name == RESTORED:
            return warm and tier == COLD
        return kind in self.kind and self.stage in (None, stage) and coldness(self.action) > coldness(tier)


TAKE_AWAY = Policy(
    name=RESTORED,
    kind=tuple(ArtifactKind),
    storage_class="COLD",
    guards=("not-referenced-by-open-freeze", "no-hold"),
)
"""Under the same guards as any move: who holds it, and who asked to read it for so long, keeps it readable."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    policy: tuple[Policy, ...] = ()
    prices: dict[str, Price] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The policies in force and the prices they are weighed with."""

    policies: tuple[Policy, ...]
    prices: Mapping[str, Price]

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted({kind.value for policy in self.policies for kind in policy.kind}))

    def named(self, name: str) -> Policy | None:
        return next((policy for policy in (*self.policies, TAKE_AWAY) if policy.name == name), None)

    def under(self, tiering: Tiering) -> Rules:
        """The same where objects go cold as copies: what must be restored before it is read goes to the cold place;
        what should stay readable at once does not."""
        if tiering.backend != "copy":
            return self
        policies = (
            policy.model_copy(update={"storage_class": COLD}) if policy.storage_class in ARCHIVED_CLASSES else policy
            for policy in self.policies
        )
        return Rules(policies=tuple(policies), prices=self.prices)


def load_rules(path: Path | None = None, *, prices: Path | None = None) -> Rules:
    """Read the policies (None: the built-in ones) over the example prices, and a site's price list over both.

    Raises Rejected: CONFIG_MISSING, CONFIG_SYNTAX, CONFIG_UNKNOWN with the nearest known key, CONFIG_VALUE.
    """
    examples = _read(EXAMPLES)
    document = _read(path or BUILT_IN)
    names = [policy.name for policy in document.policy]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _refused(
            "CONFIG_VALUE", path, f"policy {twice[0]} stands twice", "names are unique", "rename one of them"
        )
    for own_name in OWN_NAMES:
        if own_name in names:
            raise _refused(
                "CONFIG_VALUE", path, f"a policy is called {own_name}", "that name is the archive's own", "rename it"
            )
    own = _read(prices, only="prices") if prices is not None else _Document()
    return Rules(policies=document.policy, prices={**examples.prices, **document.prices, **own.prices})


def _read(path: Path, *, only: str | None = None) -> _Document:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        if only is not None:
            tables = {name: value for name, value in tables.items() if name == only}
        return _Document.model_validate(tables)
    except FileNotFoundError:
        rule = "the file that archive.policies names exists"
        raise _refused("CONFIG_MISSING", path, "the policies file is not there", rule, "correct the setting") from None
    except OSError as error:
        rule, said = "the file that archive.policies names can be read", f"it cannot be read: {error.strerror}"
        raise _refused("CONFIG_MISSING", path, said, rule, "correct the setting or the file's permissions") from None
    except ValidationError as error:
        raise _invalid(path, error) from None
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number without end, lists in lists in lists
        said, rule = excerpt(str(error), 200), "policies are TOML in UTF-8"
        raise _refused("CONFIG_SYNTAX", path, said, rule, "mend the line named") from None


def _invalid(path: Path, error: ValidationError) -> Rejected:
    first = error.errors(include_input=False, include_url=False)[0]
    place = excerpt(".".join(str(step) for step in first["loc"]), 160)
    if first["type"] == "extra_forbidden":
        near = _nearest(str(first["loc"][-1]), first["loc"])
        return _refused(
            "CONFIG_UNKNOWN", path, f"{place} is no key", "every key is known, so that no typo does nothing", near
        )
    return _refused(
        "CONFIG_VALUE", path, f"{place}: {first['msg']}", "a policy names what it takes and does", "mend it"
    )


def _nearest(name: str, place: Sequence[int | str]) -> str:
    models: dict[str, type[BaseModel]] = {"policy": Policy, "prices": Price}
    model = models.get(str(place[0]), _Document) if len(place) > 1 else _Document
    near = difflib.get_close_matches(excerpt(name), list(model.model_fields), n=1, cutoff=0.0)
    return f"did you mean {near[0]}?" if near else "remove it"


def _refused(code: str, path: Path | None, message: str, rule: str, fix: str) -> Rejected:
    return reject(code=code, message=message, where=str(path or BUILT_IN), rule=rule, fix=fix)
