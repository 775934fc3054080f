"""Put decisions and traffic into words; every figure is read from the Decision or from the generator's counts."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Document = Mapping[str, Any]

_DECIDING: Final = {
    "StartStage": ("wrongAnswers",),
    "Promote": ("wrongAnswers",),
    "Rollback": ("moreWrongAnswers", "errors", "latency", "wrongAnswers"),
    "Reject": ("moreWrongAnswers", "errors", "latency", "disagreement", "wrongAnswers"),
    "Pause": ("disagreement",),
}
"""Checks that are shown of a Decision, by its action."""

_NAMES: Final = {
    "wrongAnswers": "wrong answers",
    "moreWrongAnswers": "wrong answers",
    "errors": "failed requests",
    "latency": "slow answers",
    "disagreement": "disagreement",
}


def decision_line(spec: Document) -> str:
    """Give one line: what was decided, about whom, and the traffic that follows."""
    action = str(spec["action"])
    about = _name(spec, "to") or _name(spec, "from")
    if action in ("Rollback", "Retire"):
        about = _name(spec, "from")
    text = f"{action} {about}".strip()
    return f"{text} ({spec['reason']}): {traffic(spec.get('weights', ()))}"


def traffic(weights: Sequence[Document]) -> str:
    """Say who answers which part of the requests.

    >>> traffic([{"model": "a", "weight": 95}, {"model": "b", "weight": 5}])
    'a 95%, b 5%'
    """
    parts = []
    for weight in weights:
        shadow = weight.get("shadowPercent", 0)
        share = f"shadow {shadow}%" if shadow and not weight["weight"] else f"{weight['weight']}%"
        parts.append(f"{weight['model']} {share}")
    return ", ".join(parts) or "no traffic yet"


def evidence_lines(spec: Document) -> list[str]:
    """Say what a Decision rests on: its deciding check with its figures, its sentence where those don't say enough."""
    wanted = _DECIDING.get(str(spec["action"]), ())
    checks = [check for check in spec.get("evidence", ()) if check["name"] in wanted and check["n"]]
    failed = [check for check in checks if check.get("verdict") == "Fail"]
    lines = [describe(check) for check in (failed or checks)[:1]]
    sentence = [str(spec.get("message") or spec.get("rule") or "")]
    # A stage's name is in the sentence alone; of a verdict the figures say it all.
    return [*sentence, *lines] if spec["action"] == "StartStage" else lines or sentence


def describe(check: Document) -> str:
    """Put one check into words.

    >>> describe({"name": "wrongAnswers", "n": 812, "estimate": "0.031", "reference": "0.172", "eValue": "41.2",
    ...           "threshold": "20"})
    'wrong answers 3.1% vs 17.2%, n=812, e=41 > 20'
    """
    parts = [_NAMES.get(str(check["name"]), str(check["name"]))]
    if "estimate" in check:
        parts.append(_percent(check["estimate"]))
        if "reference" in check:
            parts.append(f"vs {_percent(check['reference'])}")
    text = " ".join(parts) + f", n={check['n']}"
    if "eValue" in check and "threshold" in check:
        e_value, threshold = float(check["eValue"]), float(check["threshold"])
        relation = ">" if e_value >= threshold else "<"
        text += f", e={_round(e_value)} {relation} {_round(threshold)}"
    return text


def traffic_line(report: Document, variants: Sequence[Document]) -> str:
    """Give the line at the bottom: requests so far, failures, latency, who answers."""
    counts = f"{report.get('sent', 0):,} requests, {report.get('failed', 0)} failed"
    shares = ", ".join(f"{v['name']} {_share(v)}" for v in variants)
    return f"{counts}, p99 {report.get('p99Milliseconds', 0):g} ms | {shares}"


def observed_errors(report: Document, since: Document, model: str) -> str:
    """Say how often a model was wrong since an earlier report, by the generator's own count."""
    rows = report["labelledRows"].get(model, 0) - since["labelledRows"].get(model, 0)
    wrong = report["wrongRows"].get(model, 0) - since["wrongRows"].get(model, 0)
    return f"{100 * wrong / rows:.1f}% of {rows} labelled rows wrong" if rows else "no labelled rows yet"


def condition(deployment: Document, kind: str) -> Document:
    """Give a condition of a resource; empty when it has none of that type."""
    conditions = deployment.get("status", {}).get("conditions", ())
    return next((c for c in conditions if c["type"] == kind), {})


def _name(spec: Document, side: str) -> str:
    return str((spec.get(side) or {}).get("name", ""))


def _share(variant: Document) -> str:
    shadow = variant.get("shadowPercent", 0)
    return f"shadow {shadow}%" if shadow and not variant.get("weight") else f"{variant.get('weight', 0)}%"


def _percent(rate: str) -> str:
    return f"{100 * float(rate):.1f}%"


def _round(value: float) -> str:
    return f"{value:.0f}" if 10 <= value < 1e5 else f"{value:.2g}"
