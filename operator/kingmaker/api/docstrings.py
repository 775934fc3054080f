"""Reads the docstrings that Python forgets: those below the members of an enumeration."""

import ast
import inspect
import textwrap
from enum import StrEnum
from functools import cache


@cache
def member_docs(words: type[StrEnum]) -> dict[str, str]:
    """Give what each value of an enumeration means, in the order of the source; those without a docstring are left out.

    Raises:
        OSError: when there is no source, as in an interpreter session.
    """
    body = ast.parse(textwrap.dedent(inspect.getsource(words))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: dict[str, str] = {}
    for statement, following in zip(body.body, body.body[1:], strict=False):
        match statement, following:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                found[words[name].value] = paragraph(text)
            case _:
                continue
    return found


def class_doc(words: type) -> str:
    """Give the first paragraph of a class's docstring, on one line."""
    return paragraph((inspect.getdoc(words) or "").split("\n\n")[0])


def paragraph(text: str) -> str:
    """Put a text on one line."""
    return " ".join(text.split())
