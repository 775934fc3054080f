"""What a person can do about a state: one sentence per reason that asks for one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kingmaker.api import Reason

_ADVICE: Final[Mapping[str, str]] = {
    Reason.THIN_EVIDENCE: "wait, give the stage more of the traffic, or allow a wider margin; "
    "kingmaker simulate says how long your own traffic takes",
    Reason.NO_LABELS: "send labels, of a random sample at least (docs/labels.md); without them nothing is promoted",
    Reason.CLASS_UNPROVEN: "send more labels of the class that is named, "
    "or allow it more by verdict.guardrails.classes.margin",
    Reason.MEASURE_UNAVAILABLE: "give the Models what the check's rule says is missing, or choose another measure",
    Reason.SELECTIVE_LABELS: "have a random sample of all requests labelled and send only that "
    "(docs/statistics.md, When labels are selective)",
    Reason.SPLIT_MISMATCH: "look for what loses requests or labels of one side: "
    "routers, a proxy with sessions of its own, the job that sends labels; nothing is concluded meanwhile",
    Reason.DISAGREEMENT_ABOVE_MAXIMUM: "compare answers of both; then raise guardrails.disagreement.maximumPercent, "
    "or take the challenger out of the spec",
    Reason.AWAITING_PROMOTION: "list its digest in contest.approval.approvedDigests, or name it in championRef",
    Reason.AWAITING_APPROVAL: "list its digest in contest.approval.approvedDigests",
    Reason.PROMOTION_NEVER: "name it in championRef when you want it",
    Reason.TOO_FEW_ROWS: "nothing, while windows fill; later: longer monitoring.drift.windows, a smaller minRows, "
    "or a look at whether the champion's pods answer scrapes",
    Reason.NOVEL_VALUES: "see whether the new values are meant; a model trained on them knows them",
    Reason.QUERY_BEYOND_BOUND: "look at the query that is named, in that Prometheus",
    Reason.TOO_FEW_LABELS: "send more labels, of a random sample (docs/labels.md), or lower performance.minLabels",
    Reason.LABELS_PENDING: "nothing: labels judge a champion once it has answered for performance.labelDelay",
    Reason.NO_BASELINE: "package the Model with reference rows (kingmaker-serving package --data)",
    Reason.DATA_QUALITY_ABOVE_MAXIMUM: "tell the data's owner which features, and what of them, is broken; "
    "retraining waits until it is mended",
    Reason.DATA_QUALITY_BROKEN: "mend the data at its source: retraining begins by itself when it is due then",
    Reason.COOLDOWN: "wait; candidates that lost have doubled it, so look at why they lose (kingmaker history)",
    Reason.BUDGET_EXHAUSTED: "wait, or raise retraining.budget if more runs would be of use "
    "(kingmaker simulate --what-if retraining.budget.runs=…)",
    Reason.SUSPENDED: "set retraining.suspend to false",
    Reason.CHALLENGER_UNAVAILABLE: "kubectl describe its pods: the champion serves on meanwhile",
}
"""In words that follow "next:"."""


def advice_of(reason: str) -> str:
    """Give what a person can do about a reason; empty where nothing has to be done."""
    return _ADVICE.get(reason, "")
