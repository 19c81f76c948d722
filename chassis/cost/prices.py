"""The price list: what an hour of a worker's slot costs by pool and memory class. Read from TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from chassis.errors import Rejected, excerpt, reject
from chassis.ledger.tasks import MEMORY_CLASSES

BUILT_IN = Path(__file__).with_name("prices.toml")
DEFAULT = "default"
HOUR = 3600.0
STORAGE_TABLE = "prices"
"""Of the same file; the archive reads it."""
_CLASSES = tuple(name for name, _ in MEMORY_CLASSES)

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Compute(BaseModel):
    """One pool. `slot_hour`: amount by memory class; `source` says where the figures come from, `as_of` from when."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot_hour: Mapping[str, Amount]
    source: str = Field(min_length=1)
    as_of: date

    @model_validator(mode="after")
    def _every_class(self) -> Compute:
        if set(self.slot_hour) != set(_CLASSES):
            raise PydanticCustomError("CLASSES", "slot_hour names each of {names}", {"names": ", ".join(_CLASSES)})
        return self


class PriceList(BaseModel):
    """What compute costs, in one currency."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    compute: Mapping[str, Compute]

    @model_validator(mode="after")
    def _has_default(self) -> PriceList:
        if DEFAULT not in self.compute:
            raise PydanticCustomError("DEFAULT", "a pool that is not named costs what [compute.default] does")
        return self

    def of(self, pool: str) -> Compute:
        return self.compute.get(pool) or self.compute[DEFAULT]

    def slot_hour(self, pool: str, memory_class: str) -> float:
        """What an hour of a slot costs. Raises KeyError for a memory class that does not exist."""
        return self.of(pool).slot_hour[memory_class]

    def amount(self, seconds: float, *, pool: str, memory_class: str) -> float:
        """What a slot of this pool and class costs for so many seconds."""
        return seconds / HOUR * self.slot_hour(pool, memory_class)


def load_prices(own: Path | None = None) -> PriceList:
    """The built-in list with a site's own file over it, table by table; its [prices.CLASS] tables are the archive's.

    Raises Rejected (CONFIG_PRICES) when a file cannot be read or says what is none.
    """
    document, path = _document(BUILT_IN), BUILT_IN
    if own is not None:
        path, said = own, _document(own)
        said.pop(STORAGE_TABLE, None)
        compute = said.get("compute", {})
        if not isinstance(compute, dict):
            raise _refused(own, "compute is no table of pools")
        document = {**document, **said, "compute": {**document["compute"], **compute}}
    try:
        return PriceList.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        raise _refused(path, excerpt(f"{place}: {first['msg']}", 200)) from None


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _refused(path, f"the file cannot be read ({type(error).__name__})") from None


def _refused(path: Path, message: str) -> Rejected:
    return reject(
        code="CONFIG_PRICES",
        message=message,
        where=path.name,
        rule="a price list has currency, [compute.POOL] with slot_hour by memory class, source and as_of, and may have "
        "[prices.CLASS] for storage",
        fix="mend the file that cost.prices names, after the built-in chassis/cost/prices.toml",
    )
