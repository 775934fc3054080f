"""Strings with a meaning: durations, decimals, digests, names, URIs.

Each type states its rules once. The same rules refuse a value in Python, when the string is made, and become CEL
rules in the CRD, so that the API server answers with a sentence instead of a regular expression.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar, Final, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema
from typing_extensions import override

from kingmaker.api.schemes import SCHEMES, shown, uri_pattern


def _matches(pattern: str, value: str) -> bool:
    # `$` of RE2 is the end of the text; Python's would let a newline follow.
    return re.search(pattern.replace("$", r"\Z"), value) is not None


@dataclass(frozen=True, slots=True)
class TextRule:
    """One rule of a string; `pattern` stays within what RE2 and Python read alike."""

    pattern: str
    message: str
    refuse: bool = False
    """True: a value that matches is refused. False: a value that does not match is."""

    def allows(self, value: str) -> bool:
        """Tell whether `value` keeps this rule."""
        return _matches(self.pattern, value) != self.refuse

    def as_cel(self) -> str:
        """Render the rule for `x-kubernetes-validations`."""
        return f"{'!' if self.refuse else ''}self.matches(r'{self.pattern}')"


class Text(str):
    """A string that keeps its rules from the moment it exists.

    Raises:
        ValueError: on construction, with the value and the sentence of the rule that it breaks.
    """

    __slots__ = ()
    MAX_LENGTH: ClassVar[int]
    RULES: ClassVar[Sequence[TextRule]]

    def __new__(cls, value: str) -> Self:
        """Check `value` and wrap it."""
        if len(value) > cls.MAX_LENGTH:
            msg = f"{value[:60]!r}...: at most {cls.MAX_LENGTH} characters expected, got {len(value)}"
            raise ValueError(msg)
        for rule in cls.RULES:
            if not rule.allows(value):
                msg = f"{value!r}: {rule.message}"
                raise ValueError(msg)
        return super().__new__(cls, value)

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """Give the structural schema of this type."""
        rules = [{"rule": rule.as_cel(), "message": rule.message} for rule in cls.RULES]
        return {"type": "string", "maxLength": cls.MAX_LENGTH, "x-kubernetes-validations": rules}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Validate through the constructor, dump as a plain string (YAML writers know no subclasses)."""
        return core_schema.no_info_after_validator_function(
            cls,
            core_schema.str_schema(),
            serialization=core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema()),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Describe the type as the CRD shall have it."""
        return cls.schema()


UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
"""Seconds per unit of a Duration."""

_PART: Final = "([1-9][0-9]{0,5}[sm]|[1-9][0-9]{0,4}h|[1-9][0-9]{0,3}d|[1-9][0-9]{0,2}w)"
_EXAMPLES: Final = "such as 30s, 10m, 24h, 14d, 26w or 1h30m"


class Duration(Text):
    """A length of time: `30s`, `10m`, `24h`, `14d`, `26w`, `1h30m`, or `0s`. At most about 110 years.

    >>> Duration("1h30m").seconds
    5400
    """

    __slots__ = ()
    MAX_LENGTH = 32
    RULES: ClassVar[Sequence[TextRule]] = (TextRule(f"^(0[smhdw]|{_PART}{{1,4}})$", f"must be a duration {_EXAMPLES}"),)

    @property
    def seconds(self) -> int:
        """Seconds, >= 0."""
        return sum(int(count) * UNITS[unit] for count, unit in re.findall(r"([0-9]+)([smhdw])", self))

    @property
    def timedelta(self) -> timedelta:
        """The same as a timedelta."""
        return timedelta(seconds=self.seconds)


class PositiveDuration(Duration):
    """A Duration of at least one second."""

    __slots__ = ()
    RULES: ClassVar[Sequence[TextRule]] = (
        TextRule(f"^{_PART}{{1,4}}$", f"must be a duration longer than 0s, {_EXAMPLES}"),
    )


class Season(PositiveDuration):
    """The period in which something repeats itself, or "None"."""

    __slots__ = ()
    RULES: ClassVar[Sequence[TextRule]] = (
        TextRule(f"^(None|{_PART}{{1,4}})$", f'must be "None" or a duration longer than 0s, {_EXAMPLES}'),
    )

    @property
    def period(self) -> timedelta | None:
        """The period; None without one."""
        return None if self == "None" else self.timedelta


class Number(Text):
    """A decimal number as a string: floats do not survive every JSON and YAML reader unchanged."""

    __slots__ = ()
    MAX_LENGTH = 40
    RULES: ClassVar[Sequence[TextRule]] = (
        TextRule(r"^-?[0-9]{1,20}([.][0-9]{1,20})?([eE][-+]?[0-9]{1,3})?$", 'must be a decimal such as "0.942"'),
    )

    @property
    def decimal(self) -> Decimal:
        """The exact value."""
        return Decimal(self)

    @property
    def value(self) -> float:
        """The nearest float."""
        return float(self)


class BoundedNumber(Number):
    """A decimal without sign or exponent between LOW and HIGH, both inclusive."""

    __slots__ = ()
    MAX_LENGTH = 16
    PATTERN: ClassVar[str] = "^[0-9]{1,6}([.][0-9]{1,9})?$"
    RULES: ClassVar[Sequence[TextRule]] = ()
    LOW: ClassVar[str]
    HIGH: ClassVar[str]

    def __new__(cls, value: str) -> Self:
        """Check `value` against the form and the bounds."""
        if not _matches(cls.PATTERN, value) or not Decimal(cls.LOW) <= Decimal(value) <= Decimal(cls.HIGH):
            msg = f"{value!r}: {cls.message()}"
            raise ValueError(msg)
        return super().__new__(cls, value)

    @classmethod
    def message(cls) -> str:
        """Say what is expected."""
        return f'must be a decimal in quotes from "{cls.LOW}" to "{cls.HIGH}"'

    @classmethod
    @override
    def schema(cls) -> dict[str, Any]:
        """Form and bounds as one rule, so that a wrong form is not reported as a failed conversion."""
        low, high = float(cls.LOW), float(cls.HIGH)
        rule = f"self.matches(r'{cls.PATTERN}') && double(self) >= {low!r} && double(self) <= {high!r}"
        return super().schema() | {"x-kubernetes-validations": [{"rule": rule, "message": cls.message()}]}


class Probability(BoundedNumber):
    """An error budget: a probability that is worth the name of one."""

    __slots__ = ()
    LOW, HIGH = "0.0001", "0.5"


class Quantile(BoundedNumber):
    """A part of all requests; "0.95": all but a twentieth."""

    __slots__ = ()
    LOW, HIGH = "0.5", "0.999"


class Share(BoundedNumber):
    """A relative size: 0.1 is ten percent."""

    __slots__ = ()
    LOW, HIGH = "0.0001", "1"


class Factor(BoundedNumber):
    """How many times as much is tolerated."""

    __slots__ = ()
    LOW, HIGH = "1.01", "10"


class Magnitude(BoundedNumber):
    """A size in the unit of what is measured."""

    __slots__ = ()
    LOW, HIGH = "0", "999999"


class PositiveMagnitude(BoundedNumber):
    """A size above 0 in the unit of what is measured."""

    __slots__ = ()
    LOW, HIGH = "0.000000001", "999999"


class Digest(Text):
    """SHA-256 of a file's bytes."""

    __slots__ = ()
    MAX_LENGTH = 71
    RULES: ClassVar[Sequence[TextRule]] = (
        TextRule(
            "^sha256:[0-9a-f]{64}$",
            "must be sha256: and 64 lower-case hexadecimal digits, the first word that `sha256sum FILE` prints",
        ),
    )


class Name(Text):
    """The name of a Model or of an entry in a list: a DNS label, since it becomes part of Service names and labels."""

    __slots__ = ()
    MAX_LENGTH = 63
    RULES: ClassVar[Sequence[TextRule]] = (
        TextRule(
            "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
            "must be lower-case letters, digits and '-', and begin and end with a letter or digit",
        ),
    )


class ObjectName(Text):
    """The name of a Secret, ConfigMap or PersistentVolumeClaim: a DNS subdomain."""

    __slots__ = ()
    MAX_LENGTH = 253
    RULES: ClassVar[Sequence[TextRule]] = (
        TextRule(
            "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
            "must be lower-case letters, digits, '-' and '.', and begin and end with a letter or digit",
        ),
    )


_NO_PASSWORD: Final = TextRule(
    "^[a-z0-9]+://[^/]*:[^/]*@", "holds a password: put credentials into a Secret, never into a URI", refuse=True
)
_NO_PARENT: Final = TextRule(
    # Percent-encoded ones too: who opens a file or a claim decodes its path.
    "(^|/|%2[fF])([.]|%2[eE]){2}(/|%2[fF]|$)",
    "must not contain '..' segments: write the path in full",
    refuse=True,
)

_WRITABLE: Final = tuple(scheme for scheme in SCHEMES if scheme.is_writable)


class _StoredAt(Text):
    """A URI of a file or a folder that Kingmaker reads."""

    __slots__ = ()

    @property
    def claim(self) -> str | None:
        """Name of the PersistentVolumeClaim of `pvc://CLAIM/path`; None for other schemes.

        >>> Uri("pvc://models/churn/1.onnx").claim
        'models'
        """
        scheme, _, rest = self.partition("://")
        return rest.partition("/")[0] if scheme == "pvc" else None


class Uri(_StoredAt):
    """Where an artifact is read from."""

    __slots__ = ()
    MAX_LENGTH = 1024
    RULES: ClassVar[Sequence[TextRule]] = (
        TextRule(
            uri_pattern(SCHEMES),
            f"must be an absolute URI without spaces and with one of these schemes: {shown(SCHEMES)}",
        ),
        _NO_PASSWORD,
        _NO_PARENT,
    )


class OutputUri(_StoredAt):
    """Where a retraining Job writes: schemes that can be written to."""

    __slots__ = ()
    MAX_LENGTH = 1024
    RULES: ClassVar[Sequence[TextRule]] = (
        TextRule(
            uri_pattern(_WRITABLE),
            f"must be an absolute URI without spaces that can be written to: {shown(_WRITABLE)}",
        ),
        _NO_PASSWORD,
        _NO_PARENT,
    )
