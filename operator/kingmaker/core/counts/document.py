"""A baseline document key by key, as `kingmaker.dev/baseline/v1` has it. What cells must be to one another is not here.

Unknown keys are left alone, so that newer documents can be read.
"""

from __future__ import annotations

import json
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from kingmaker.api import PositiveDuration

FORMAT: Final = "kingmaker.dev/baseline/v1"
MAXIMUM_BYTES: Final = 4 * 1024 * 1024
"""Largest document that is read."""

LONGEST_NAME: Final = 512
"""Characters of a feature's or a cell's name."""

Value = str | bool | int | float
"""A category."""

_Count = Annotated[int, Strict(), Field(ge=0, lt=2**53)]
_Flag = Annotated[bool, Strict()]
_Edge = Annotated[float, Strict(), Field(allow_inf_nan=False)]
_Loss = Annotated[float, Strict(), Field(ge=0, allow_inf_nan=False)]
_Part = Annotated[float, Strict(), Field(ge=0, le=1, allow_inf_nan=False)]
_Dispersion = Annotated[float, Strict(), Field(ge=1, le=10, allow_inf_nan=False)]
_ClassName = Annotated[str, Field(min_length=1, max_length=128)]
_SeasonCounts = Annotated[list[list[_Count]], Field(max_length=168)]


class Kind(StrEnum):
    """Whether a column's cells have an order."""

    NUMERIC = "Numeric"
    CATEGORICAL = "Categorical"


class DocumentCell(TypedDict):
    """A cell.

    `upper` and `lower` bound a numeric cell (closed above), `value` names a category, `wrong` counts the reference rows
    that the model got wrong, `classes` those by their true class; the errors are means over the cell's rows.
    """

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    count: _Count
    rare: NotRequired[_Flag]
    upper: NotRequired[_Edge | None]
    lower: NotRequired[_Edge | None]
    atom: NotRequired[_Flag]
    value: NotRequired[Value | None]
    wrong: NotRequired[_Count | None]
    classes: NotRequired[Annotated[dict[_ClassName, _Count], Field(max_length=64)] | None]
    absoluteError: NotRequired[_Loss | None]  # the document's word
    squaredError: NotRequired[_Loss | None]


class DocumentColumn(BaseModel):
    """A column; prediction and score are named by their place."""

    model_config = ConfigDict(alias_generator=to_camel)

    name: Annotated[str, Field(max_length=LONGEST_NAME)] = ""
    kind: Kind
    cells: Annotated[list[DocumentCell], Field(min_length=1)]
    singletons: _Count | None = None
    importance: _Part | None = None
    dispersion: Annotated[dict[PositiveDuration, _Dispersion], Field(max_length=16)] = {}
    season: _SeasonCounts | None = None
    held_out: _Flag = False


class DocumentSeason(BaseModel):
    """Into what the season counts of the columns are cut."""

    period: PositiveDuration
    buckets: Annotated[int, Strict(), Field(ge=1, le=168)]
    offset: Literal["UTC"] = "UTC"


class DocumentSpan(BaseModel):
    """From when until when the rows of a bootstrapped reference were counted."""

    begin: Annotated[datetime, Field(alias="from")]
    until: datetime


class Document(BaseModel):
    """The whole of it."""

    format: Literal["kingmaker.dev/baseline/v1"]
    rows: Annotated[int, Strict(), Field(ge=1, lt=2**53)]
    features: Annotated[tuple[DocumentColumn, ...], Field(min_length=1)]
    prediction: DocumentColumn | None = None
    score: DocumentColumn | None = None
    season: DocumentSeason | None = None
    bootstrapped: DocumentSpan | None = None


def complain(error: ValidationError) -> str:
    """Say in a sentence where a document is off, and what to do."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return f"baseline is not JSON: {first['ctx']['error']}; package the model again"
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    found = "missing" if first["type"] == "missing" else json.dumps(first["input"], default=repr)[:80]
    return f"baseline{place} is {found}: {first['msg']}; package the model again"
