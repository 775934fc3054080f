"""`guardrails.queries`: checks of a contest that a Prometheus answers, written by people."""

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from kingmaker.api.common import ApiModel, rules
from kingmaker.api.text import Name, Number, Text, TextRule

PLACES: Final = ("deployment", "namespace", "champion", "challenger")
"""What stands in a query as `{{deployment}}` and so on: names, filled in when it is asked."""

_NAMES: Final = "|".join(PLACES)


class PromQuery(Text):
    """A PromQL expression that gives one number; `{{challenger}}` and the like stand for names."""

    __slots__ = ()
    MAX_LENGTH = 2000
    RULES = (
        TextRule("[^ \\t\\r\\n]", "must not be blank: write a PromQL expression that gives one number"),
        TextRule(
            "^([^{]|[{][^{]|[{][{](" + _NAMES + ")[}][}])*[{]?$",
            "double braces hold a name that is filled in, without spaces: " + ", ".join(f"{{{{{p}}}}}" for p in PLACES),
        ),
    )


class QueryGuardrail(ApiModel):
    """Roll back when what a Prometheus says of the challenger is beyond a bound, look after look."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("has(self.maximum) || has(self.minimum)", "set maximum, minimum or both: without a bound nothing fails"),
            (
                "!has(self.maximum) || !has(self.minimum) || double(self.minimum) <= double(self.maximum)",
                "minimum must not be above maximum",
            ),
            ("self.needed <= self.of", "needed must not be above of: a query fails in `needed` of the last `of` looks"),
        )
    )

    name: Name
    """Name of the check in records."""
    query: PromQuery
    """What is asked, such as `sum(rate(refunds{model="{{challenger}}"}[5m]))`. It must give one number."""
    maximum: Number | None = None
    """More than this is beyond the bound."""
    minimum: Number | None = None
    """Less than this is beyond the bound."""
    source: Name | None = None
    """Which Prometheus is asked: a name that the operator was started with. Left out: its default one."""
    needed: Annotated[int, Field(ge=1, le=50)] = 3
    """Beyond the bound in this many looks the query fails."""
    of: Annotated[int, Field(ge=1, le=50)] = 5
    """This many looks count, the last ones."""
