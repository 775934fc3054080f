"""Which schemes of URIs a Model may name. A new one is a line here, and one in the server's own `storage/schemes.py`.

A unit test holds both lists equal, since neither side imports the other.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LABEL: Final = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"


@dataclass(frozen=True, slots=True)
class Scheme:
    """What the URIs of one scheme look like."""

    name: str
    is_writable: bool = False
    """Whether a retraining run can write there."""
    form: str = ""
    """How people are told to write it; `NAME://` when empty."""
    path: str = ""
    """What must follow `NAME://`, as an expression that RE2 and Python read alike; anything but a slash when empty."""

    @property
    def shown(self) -> str:
        """The form in a sentence."""
        return self.form or f"{self.name}://"


SCHEMES: Final = (
    Scheme("file", is_writable=True, form="file:///path", path="/"),
    Scheme(
        "pvc",
        is_writable=True,
        form="pvc://claim/path (the claim's name in lower case)",
        path=rf"{LABEL}([.]{LABEL}){{0,3}}/[^/\s]",
    ),
    Scheme("http"),
    Scheme("https"),
    Scheme("s3", is_writable=True),
    Scheme("gs", is_writable=True),
    Scheme("az", is_writable=True),
    Scheme("hf"),
)


def uri_pattern(schemes: Iterable[Scheme]) -> str:
    """Give the expression that URIs of these schemes match.

    >>> uri_pattern([Scheme("file", path="/"), Scheme("s3"), Scheme("gs")])
    '^(file:///|(s3|gs)://[^/\\\\s])[^\\\\s]*$'
    """
    found = list(schemes)
    own = [f"{scheme.name}://{scheme.path}" for scheme in found if scheme.path]
    # Short: the API server reckons what a rule costs from the length of its expression.
    plain = "|".join(scheme.name for scheme in found if not scheme.path)
    ways = "|".join([*own, rf"({plain})://[^/\s]"])
    return rf"^({ways})[^\s]*$"


def shown(schemes: Iterable[Scheme]) -> str:
    """Name the schemes in a sentence."""
    return ", ".join(scheme.shown for scheme in schemes)
