"""Describes the fields of a resource in Markdown: which values they take, what is refused, what they are for."""

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, get_args

import yaml

from kingmaker.api.common import ApiModel
from kingmaker.api.docstrings import class_doc, member_docs
from kingmaker.api.structural import Schema, to_structural
from kingmaker.api.text import Text

WIDTH: Final = 110
_RULES: Final = "x-kubernetes-validations"
_ANY_COUNT: Final = 2**53 - 1
_LONGEST_RULE: Final = 100
"""Longer expressions say less than the sentence beside them; they are in the CRD."""

Named = type[ApiModel] | type[StrEnum] | type[Text]


@dataclass(slots=True)
class Section:
    """One model of the API: where it stands first, and where else."""

    path: str
    model: type[ApiModel]
    schema: Schema
    also: list[str] = field(default_factory=list)


def slug(heading: str) -> str:
    """Give the anchor that GitHub makes of a heading."""
    kept = "".join(c for c in heading.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


def wrapped(text: str, *, indent: str = "", first: str | None = None) -> Iterator[str]:
    """Break a paragraph into lines; words such as links and patterns stay whole."""
    yield from textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def sections_of(path: str, model: type[ApiModel], schema: Schema) -> list[Section]:
    """List the models below `path`, each once, in the order in which a reader meets them."""
    found: dict[type[ApiModel], Section] = {}
    _collect(path, model, schema, found)
    return list(found.values())


def _collect(path: str, model: type[ApiModel], schema: Schema, found: dict[type[ApiModel], Section]) -> None:
    if model in found:
        found[model].also.append(path)
    else:
        found[model] = Section(path, model, schema)
    for name, part, named in fields_of(model, schema):
        if named and issubclass(named, ApiModel) and named.model_fields:
            inner, where = (part["items"], "[]") if part.get("type") == "array" else (part, "")
            _collect(f"{path}.{name}{where}", named, inner, found)


def fields_of(model: type[ApiModel], schema: Schema) -> Iterator[tuple[str, Schema, Named | None]]:
    """Give name, schema and named type of every field."""
    for key, info in model.model_fields.items():
        name = info.serialization_alias or info.alias or key
        yield name, schema["properties"][name], find_named(info.annotation)


def find_named(annotation: Any) -> Named | None:  # noqa: ANN401  # any type expression
    """Give the model, enumeration or text type that an annotation is about, within lists and unions too."""
    if isinstance(annotation, type) and issubclass(annotation, ApiModel | StrEnum | Text):
        return annotation
    return next((found for part in get_args(annotation) if (found := find_named(part))), None)


def describe_section(section: Section, places: Mapping[type, str]) -> Iterator[str]:
    """Give the lines about one model: what it is, its rules, its fields.

    Args:
        section: The model.
        places: Where each model has its section, to link to.
    """
    yield f"### {section.path}"
    yield ""
    yield from wrapped(class_doc(section.model))
    if section.also:
        yield from wrapped(f"The same at {', '.join(f'`{path}`' for path in section.also)}.")
    own = own_rules(section.model)
    if own:
        yield ""
        yield from describe_rules(own)
    yield ""
    for name, schema, named in fields_of(section.model, section.schema):
        yield from _describe_field(name, schema, named, places, required=name in section.schema.get("required", ()))
    yield ""


def _describe_field(
    name: str, schema: Schema, named: Named | None, places: Mapping[type, str], *, required: bool
) -> Iterator[str]:
    facts = [phrase(schema, named, places)]
    default = _default(schema)
    if required:
        facts.append("**required**")
    elif default and len(default) == 1:
        facts.append(f"default `{default[0]}`")
    elif default:
        facts.append("default below")
    text = f"- `{name}` ({', '.join(facts)}). {schema['description']}"
    yield from wrapped(text, indent="  ", first="")
    known = own_rules(named) if named else []
    news = [rule for rule in schema.get(_RULES, ()) if rule not in known]
    yield from describe_rules(news, indent="  ")
    if default and len(default) > 1:
        yield ""
        yield from (f"  {line}".rstrip() for line in ("```yaml", *default, "```"))


def describe_rules(rules: Sequence[Mapping[str, str]], indent: str = "") -> Iterator[str]:
    """Give the lines about what is refused: the sentence that people get, then the expression that decides."""
    for rule in rules:
        if "oldSelf" in rule["rule"]:
            yield from wrapped(f"**Immutable**: {rule['message']}.", indent=indent + "  ", first=indent + "- ")
        else:
            condition = f", unless `{rule['rule']}`" if len(rule["rule"]) <= _LONGEST_RULE else ""
            text = f"Refused: *{rule['message']}*{condition}"
            yield from wrapped(text, indent=indent + "  ", first=indent + "- ")


def own_rules(named: Named) -> list[dict[str, str]]:
    """Give the rules that a type has wherever it is used."""
    if issubclass(named, Text):
        return list(named.schema()[_RULES])
    return list(to_structural(named.model_json_schema()).get(_RULES, ())) if issubclass(named, ApiModel) else []


def phrase(schema: Schema, named: Named | None, places: Mapping[type, str]) -> str:
    """Say in words which values a schema takes."""
    match schema.get("type"):
        case "array":
            return f"list of {phrase(schema['items'], named, places)}{_size(schema, 'Items')}{_merge(schema)}"
        case "object" if "additionalProperties" in schema:
            values = phrase(schema["additionalProperties"], named, places)
            return f"map to {values}{_size(schema, 'Properties')}"
        case "object" if named is not None and named in places:
            return f"[object](#{slug(places[named])})"
        case "object":
            return "object without fields: `{}`"
        case "boolean":
            return "true or false"
        case "integer":
            return _integer(schema)
        case "string":
            return _string(schema, named)
        case _:
            return "quantity"


def _string(schema: Schema, named: Named | None) -> str:
    if named and not issubclass(named, ApiModel):
        return f"[{named.__name__}](#{slug(named.__name__)})"
    if "enum" in schema:
        return " or ".join(f"`{word}`" for word in schema["enum"])
    if schema.get("format") == "date-time":
        return "time, such as `2026-01-02T03:04:05Z`"
    pattern = f" matching `{schema['pattern']}`" if "pattern" in schema else ""
    return f"text{_size(schema, 'Length', 'characters')}{pattern}"


def _integer(schema: Schema) -> str:
    low, high = schema["minimum"], schema["maximum"]
    return f"integer from {low}" if high == _ANY_COUNT else f"integer, {low} to {high}"


def _size(schema: Schema, what: str, unit: str = "entries") -> str:
    low, high = schema.get(f"min{what}", 0), schema.get(f"max{what}")
    if high is None:
        return ""
    return f", {low} to {high} {unit}" if low else f", at most {high} {unit}"


def _merge(schema: Schema) -> str:
    match schema.get("x-kubernetes-list-type"):
        case "map":
            keys = " and ".join(f"`{key}`" for key in schema["x-kubernetes-list-map-keys"])
            return f", told apart by {keys}"
        case "set":
            return ", each once"
        case _:
            return ""


def _default(schema: Schema) -> list[str]:
    """Give the default in as many lines as it needs; none where it is nothing but the defaults of its own fields."""
    if "default" not in schema or schema["default"] in ([], "", _implied(schema)):
        return []
    value = schema["default"]
    if isinstance(value, str):
        # What YAML would take for a number is shown with the quotes that it needs.
        return [value if isinstance(yaml.safe_load(value), str) else json.dumps(value)]
    if not isinstance(value, list | dict):
        return [json.dumps(value)]
    if isinstance(value, list) and not any(isinstance(part, list | dict) for part in value):
        return [f"[{', '.join(str(part) for part in value)}]"]
    text = yaml.safe_dump(value, default_flow_style=None, sort_keys=False, width=100)
    return text.splitlines()


def _implied(schema: Schema) -> dict[str, Any] | None:
    if schema.get("type") != "object":
        return None
    fields = schema.get("properties", {}).items()
    return {name: part["default"] for name, part in fields if "default" in part}


def words_of(sections: Sequence[Section]) -> list[type[StrEnum] | type[Text]]:
    """List the enumerations and text types that the fields of these models use, by name."""
    found = {
        named
        for section in sections
        for _, _, named in fields_of(section.model, section.schema)
        if named and not issubclass(named, ApiModel)
    }
    return sorted(found, key=lambda named: named.__name__)


def describe_word(named: type[StrEnum] | type[Text]) -> Iterator[str]:
    """Give the lines about one enumeration or text type."""
    yield f"### {named.__name__}"
    yield ""
    yield from wrapped(class_doc(named))
    yield ""
    if issubclass(named, Text):
        yield f"- At most {named.MAX_LENGTH} characters."
        yield from describe_rules(own_rules(named))
    else:
        meanings = member_docs(named)
        if not meanings:
            yield from wrapped(", ".join(f"`{word.value}`" for word in named) + ".")
        for word, meaning in meanings.items():
            yield from wrapped(f"- `{word}`: {meaning}", indent="  ", first="")
    yield ""
