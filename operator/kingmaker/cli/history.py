"""`kingmaker history`: what was live when, and why."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Any

from kingmaker.cli.reading import add_target, read_decisions, target_of
from kingmaker.cli.tables import WIDTH, render, wrap
from kingmaker.core.wording import split
from kingmaker_laptop.verbs.flags import Subparsers, add_verb

_EPILOG = """\
  kingmaker history churn                 a line per decision, the latest last
  kingmaker history churn --evidence      with the rule and every check behind each
  kingmaker history churn -o json         the records themselves

exit codes: 0 printed; 1 there is no such ModelDeployment, or no cluster; 2 wrong usage
"""

Spec = Mapping[str, Any]

CHECK_HEADER = ("CHECK", "VERDICT", "N", "CHALLENGER", "CHAMPION", "E/NEEDED")

_ABOUT_FROM = ("Rollback", "Reject", "Retire", "Retrain", "SkipRetraining")
"""Actions that are about the model that something is taken from."""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Declare the verb."""
    parser = add_verb(subparsers, "history", summary="show every decision about a ModelDeployment", epilog=_EPILOG)
    add_target(parser)
    parser.add_argument("--evidence", action="store_true", help="print the rule and the checks of each decision")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the records."""
    records = asyncio.run(read_decisions(target_of(options)))
    if options.output == "json":
        sys.stdout.write(json.dumps(records, indent=2) + "\n")
        return 0
    if not records:
        sys.stdout.write(f"nothing was decided about {options.name} yet; kingmaker explain {options.name} says why\n")
        return 0
    specs = [record["spec"] for record in records]
    if options.evidence:
        sys.stdout.write("\n".join(describe(spec) for spec in specs))
    else:
        rows = [row_of(spec) for spec in specs]
        sys.stdout.write(render(("SEQ", "AT (UTC)", "ACTION", "MODEL", "TRAFFIC", "WHY"), rows))
    return 0


def row_of(spec: Spec) -> tuple[str, ...]:
    """Give one decision as a row."""
    return (
        str(spec["sequence"]),
        spec["at"].removesuffix("Z").replace("T", " ")[5:],
        spec["action"] + ("*" if spec["actor"] == "Human" else ""),
        about(spec),
        traffic(spec),
        spec["reason"],
    )


def about(spec: Spec) -> str:
    """Name the model that a decision is about."""
    side = spec.get("from") if spec["action"] in _ABOUT_FROM else spec.get("to")
    return str((side or spec.get("to") or spec.get("from") or {}).get("name", ""))


def traffic(spec: Spec) -> str:
    """Give the split as `95/5`, champion first; a shadow as `100+100s`."""
    return split((w["weight"], w.get("shadowPercent", 0)) for w in spec.get("weights") or ())


def describe(spec: Spec) -> str:
    """Give one decision with its rule and its evidence, as lines of at most 80 columns."""
    by = "a person" if spec["actor"] == "Human" else "the operator"
    lines = wrap(f"{spec['sequence']}. {spec['action']} {about(spec)}, {spec['reason']}, by {by} at {spec['at']}")
    lines += wrap(spec.get("message", ""), indent="   ")
    if spec.get("rule"):
        lines += wrap(f"rule: {spec['rule']}", indent="   ")
    lines.append(f"   traffic: {traffic(spec) or 'unchanged'}")
    checks = [check_row(e) for e in spec.get("evidence") or ()]
    if checks:
        header = CHECK_HEADER
        lines += ["   " + line for line in render(header, checks, width=WIDTH - 3).splitlines()]
    return "\n".join(lines) + "\n"


def check_row(check: Spec) -> tuple[str, ...]:
    """Give one check as a row."""
    return (
        check["name"],
        check.get("verdict", ""),
        str(check["n"]),
        percent(check.get("estimate")),
        percent(check.get("reference")),
        f"{check['eValue']}/{check.get('threshold', '-')}" if "eValue" in check else "-",
    )


def percent(value: str | None) -> str:
    """Give a share as a percentage; `-` for none."""
    return "-" if value is None else f"{float(value):.2%}"
