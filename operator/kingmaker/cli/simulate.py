"""`kingmaker simulate`: what a ModelDeployment's policy would have done over recorded history."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from kingmaker.api.text import Duration
from kingmaker.cli.history import about, traffic
from kingmaker.cli.recorded import RowColumns, read_counts, read_exported, read_rows
from kingmaker.cli.scenario import Files, Scenario, read_files, scenarios
from kingmaker.cli.tables import render, wrap
from kingmaker.cli.timeline import Row, draw, page
from kingmaker.core.decide import Rules
from kingmaker.core.manifests.router import RouterContainer
from kingmaker.core.manifests.settings import Settings
from kingmaker.core.simulation.history import History
from kingmaker.core.simulation.world import Assumptions, World
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.verbs.flags import Subparsers, add_verb

_EPILOG: Final = """\
a history is one of:
  --counts FILE  CSV or Parquet of counts per interval; `time` is when it ended.
                 A file has one of these sets of columns; repeat to add files:
                   time, model, requests, errors, correct, wrong
                     what a model did; the last three may be left out
                   time, model, predicted, true, count
                     its labelled requests by class
                   time, feature, cell, count
                     rows per cell of the champion's baseline
                 without a column `model` it is the champion's
  --rows FILE    CSV, Parquet or npz of rows as the model got them
  --ledger FILE  kubectl get configmap NAME-ledger -o json: its last windows

examples:
  kingmaker simulate churn.yaml --counts weeks.csv
  kingmaker simulate churn.yaml --rows rows.csv --time at \\
      --baseline baseline.json --label churned \\
      --prediction churn-1=said --prediction churn-2=would_say
  kingmaker simulate churn.yaml --counts weeks.csv --plot weeks.svg \\
      --what-if contest.verdict.margin=0.05 \\
      --what-if retraining.cooldown=48h retraining.persistence.needed=3

It is the same decide as the operator's. Pods are ready at once and routers
acknowledge; who gets which request, and what it answers, is drawn from what
the models did at that time (--seed). Two models' answers to the same request
are known from rows alone; from counts they are drawn as if the two erred
independently. What retraining makes is assumed (--training-time,
--retrained-error), and is said below the table.

exit codes: 0 printed; 1 a file can't be used, and stderr says why; 2 wrong
usage
"""

_COUNTED: Final = (
    ("retrainings", "Retrain"),
    ("promotions", "Promote"),
    ("rollbacks", "Rollback"),
    ("rejections", "Reject"),
    ("pauses", "Pause"),
    ("skipped retrainings", "SkipRetraining"),
)
_ALWAYS_SAID: Final = 3
"""The first of them are said also where there were none."""


@dataclass(frozen=True, slots=True)
class Played:
    """A scenario and what became of it."""

    scenario: Scenario
    world: World

    @property
    def counts(self) -> dict[str, int]:
        """How often what was decided by the operator."""
        actions = Counter(str(d["action"]) for d in self.world.records if d["actor"] == "Operator")
        return {name: actions[action] for name, action in _COUNTED}

    @property
    def champion(self) -> str:
        """Who holds the seat at the end."""
        return self.world.state.champion.name if self.world.state.champion else "nobody"

    @property
    def wrong(self) -> float | None:
        """The share of wrong answers of all labelled ones that champions gave."""
        records = [m.record for m in self.world.moments]
        labelled = sum(r.labelled for r in records)
        return sum(r.wrong for r in records) / labelled if labelled else None


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Declare the verb."""
    parser = add_verb(
        subparsers, "simulate", summary="say what a policy would have done over recorded history", epilog=_EPILOG
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="YAML with a ModelDeployment, and Models if you like")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--counts", type=Path, action="append", metavar="FILE", help="counts per interval")
    source.add_argument("--rows", type=Path, metavar="FILE", help="raw rows")
    source.add_argument("--ledger", type=Path, metavar="FILE", help="an exported ledger")
    parser.add_argument(
        "--baseline",
        action="append",
        default=[],
        metavar="[MODEL=]FILE",
        help="baseline.json of a model; the champion's, which others without one have, too",
    )
    parser.add_argument("--time", default="time", metavar="COLUMN", help="of --rows (default: %(default)s)")
    parser.add_argument("--label", default="", metavar="COLUMN", help="the truth, of --rows")
    parser.add_argument(
        "--prediction", action="append", default=[], metavar="[MODEL=]COLUMN", help="what a model said, of --rows"
    )
    parser.add_argument("--score", default="", metavar="COLUMN", help="the champion's score, of --rows")
    parser.add_argument("--interval", default="1h", metavar="T", help="length of one, of --rows (default: %(default)s)")
    parser.add_argument("--training-time", default="1h", metavar="T", help="of a retraining (default: %(default)s)")
    parser.add_argument(
        "--retrained-error",
        type=float,
        default=0.8,
        metavar="X",
        help="what retraining makes errs X times as often as its parent (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="of who gets what (default: %(default)s)")
    parser.add_argument(
        "--what-if", nargs="+", action="append", default=[], metavar="KEY=VALUE", help="other settings of spec; repeat"
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: %(default)s")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="a drawing: .svg or .html")
    return parser


def run(options: argparse.Namespace) -> int:
    """Play the history under all settings and print what came of it."""
    if options.plot and options.plot.suffix not in (".svg", ".html"):
        raise LocalError(f"--plot {options.plot}: expected a name that ends in .svg or .html")
    files = read_files(options.file, {m: Path(f) for m, f in map(_named, options.baseline)})
    history = _read(options, files)
    assumed = Assumptions(
        _length(options.training_time, "--training-time"),
        retrained_error=options.retrained_error,
        seed=options.seed,
    )
    played = [_play(s, files, history, assumed) for s in scenarios(files, options.what_if, options.file)]
    text = as_json(played) if options.output == "json" else "\n".join(as_text(played, history, assumed)) + "\n"
    if options.plot:
        _plot(options.plot, played, history, assumed)
    sys.stdout.write(text)
    return 0


def _read(options: argparse.Namespace, files: Files) -> History:
    champion, documents = files.champion, files.documents
    if options.counts:
        digest = files.champion_baseline
        return read_counts(options.counts, champion, digest, documents.get(digest))
    if options.rows:
        predictions = {model or champion: column for model, column in map(_named, options.prediction)}
        names = RowColumns(options.time, options.label, predictions, options.score)
        whose = {str(m.spec.baseline.digest): name for name, m in files.models.items() if m.spec.baseline}
        # Where several models share a baseline it is about the champion's predictions.
        whose[files.champion_baseline] = champion
        baselines = {digest: (whose[digest], document) for digest, document in documents.items()}
        return read_rows(options.rows, names, baselines, _length(options.interval, "--interval"))
    digests = {str(model.spec.artifact.digest): name for name, model in files.models.items()}
    return read_exported(options.ledger, str(files.models[champion].spec.artifact.digest), digests)


def _named(text: str) -> tuple[str, str]:
    """Read `model=x`, or `x` for the champion's."""
    before, equals, after = text.partition("=")
    return (before, after) if equals else ("", before)


def _length(text: str, flag: str) -> timedelta:
    try:
        length = Duration(text).timedelta
    except ValueError as error:
        raise LocalError(f"{flag} {text}: {error}") from error
    if not length:
        raise LocalError(f"{flag} {text}: expected more than no time")
    return length


def _play(scenario: Scenario, files: Files, history: History, assumed: Assumptions) -> Played:
    settings = Settings(
        serving_image="none", router_image="none", operator_namespace="simulated", xds_host="simulated", xds_port=1
    )
    rules = Rules(settings, RouterContainer(("simulated",)))
    world = World(scenario.mdep, dict(files.models), dict(files.baselines), history, rules, assumed)
    title = scenario.title or "as the file says"
    last = len(history.intervals)
    for done, moment in enumerate(world.play(), 1):
        if sys.stderr.isatty() and (done == last or done % max(1, last // 50) == 0):
            end = "\n" if done == last else ""
            sys.stderr.write(f"\r{title[:50]}: {moment.at:%Y-%m-%d %H:%M}, {done} of {last} intervals{end}")
            sys.stderr.flush()
    return Played(scenario, world)


def as_text(played: Sequence[Played], history: History, assumed: Assumptions) -> list[str]:
    """Give the lines that people read."""
    begin, end = (f"{history.intervals[at].until:%Y-%m-%d %H:%M}Z" for at in (0, -1))
    lines = wrap(f"{len(history.intervals)} intervals that ended from {begin} to {end}")
    for one in played:
        lines += ["", *wrap(f"{one.scenario.title or 'as the file says'}: {_summary(one)}"), ""]
        lines += _decisions(one.world.records)
    if len(played) > 1:
        lines += ["", *_compared(played)]
    if any(one.counts["retrainings"] for one in played):
        error = f"err {assumed.retrained_error:g} times as often as their parents"
        lines += ["", *wrap(f"assumed: retrained models {error} (--retrained-error)")]
    return lines


def _summary(one: Played) -> str:
    counts = list(one.counts.items())
    said = [*counts[:_ALWAYS_SAID], *((n, c) for n, c in counts[_ALWAYS_SAID:] if c)]
    words = ", ".join(f"{count} {name if count != 1 else _singular(name)}" for name, count in said)
    wrong = "" if one.wrong is None else f"; champions answered {one.wrong:.2%} wrongly"
    return f"{words}; {one.champion} holds the seat{wrong}"


def _singular(plural: str) -> str:
    return plural.removesuffix("s")


def _decisions(records: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [_row(decision) for decision in records]
    table = render(("SEQ", "AT (UTC)", "ACTION", "MODEL", "TRAFFIC", "WHY"), rows).splitlines()
    why = [line for d in records for line in wrap(f"{d['sequence']}. {d.get('message', '')}", indent="  ")]
    return [*table, "", *why]


def _row(decision: Mapping[str, Any]) -> tuple[str, ...]:
    at = str(decision["at"])[:16].replace("T", " ")
    what = (str(decision["action"]), about(decision), traffic(decision), str(decision["reason"]))
    return (str(decision["sequence"]), at, *what)


def _compared(played: Sequence[Played]) -> list[str]:
    rows = []
    for one in played:
        counts = one.counts
        wrong = "-" if one.wrong is None else f"{one.wrong:.2%}"
        numbers = [str(counts[name]) for name, _ in _COUNTED[:_ALWAYS_SAID]]
        rows.append((one.scenario.title or "as the file says", *numbers, one.champion, wrong))
    header = ("SETTINGS", "RETRAININGS", "PROMOTIONS", "ROLLBACKS", "CHAMPION", "WRONG")
    return render(header, rows).splitlines()


def as_json(played: Sequence[Played]) -> str:
    """Give the same for programs."""
    listed = [
        {
            "whatIf": one.scenario.title,
            "summary": one.counts,
            "champion": one.champion,
            "wrong": one.wrong,
            "decisions": [{k: v for k, v in d.items() if k != "outcome"} for d in one.world.records],
            "intervals": [
                {
                    "until": m.at.strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "champion": m.champion,
                    "requests": m.record.requests,
                    "labelled": m.record.labelled,
                    "wrong": m.record.wrong,
                    "drift": m.drift,
                    "weights": dict(m.weights),
                }
                for m in one.world.moments
            ],
        }
        for one in played
    ]
    return json.dumps({"scenarios": listed}, indent=1, ensure_ascii=False, default=str) + "\n"


def _plot(path: Path, played: Sequence[Played], history: History, assumed: Assumptions) -> None:
    svg = draw([Row(one.scenario.title, one.world.moments, one.world.records) for one in played])
    text = svg if path.suffix == ".svg" else page(svg, "\n".join(as_text(played, history, assumed)))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LocalError(f"--plot {path}: {error}") from error
