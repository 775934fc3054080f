"""`$(VAR)` in commands, arguments and values.

Source: k8s.io/kubernetes third_party/forked/golang/expansion.
"""

import re
from collections.abc import Mapping

_REFERENCE = re.compile(r"\$(?:\$|\(([^)]*)\))")


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace each `$(NAME)` that is defined; leave others as they are; `$$` is one `$`.

    >>> expand("--host=$(IP) $(NO) $$(IP)", {"IP": "127.0.0.2"})
    '--host=127.0.0.2 $(NO) $(IP)'
    """

    def value_of(found: re.Match[str]) -> str:
        if found.group() == "$$":
            return "$"
        return variables.get(found.group(1), found.group())

    return _REFERENCE.sub(value_of, text)
