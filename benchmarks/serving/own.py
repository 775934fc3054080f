"""Steps that compare the server with itself: with and without counting, with and without a shadow."""

import json
from collections.abc import Iterator

from benchmarks.common.figures import Figure
from benchmarks.common.progress import say
from benchmarks.serving import targets
from benchmarks.serving.figures import figure, missing
from benchmarks.serving.lab import OURS, SHADOWING, TARGETS, UNCOUNTED, Lab, quotient
from benchmarks.serving.load import FEW
from benchmarks.serving.model import VERSION
from benchmarks.serving.process import Server, running
from benchmarks.serving.requests import as_binary
from kingmaker_serving.digest import sha256

_CHALLENGER = "churn-2"
_PART = 0.5
"""Of our peak, at which a shadow's cost in time is measured: a challenger on the load's processor keeps up with it."""
_ROWS = 2000


def counting(lab: Lab) -> Iterator[Figure]:
    """Ask one row per request, as fast as answers come."""
    loads = lab.rounds([OURS, UNCOUNTED], lab.peak_of)
    yield quotient("counting on ÷ off", loads[OURS], loads[UNCOUNTED])


def counting_in_binary(lab: Lab) -> Iterator[Figure]:
    """Ask 2,000 rows per request, in binary, as fast as answers come."""
    name = f"binary, {_ROWS:,} rows: counting on ÷ off"
    question = as_binary(lab.model, rows=_ROWS)
    if refusal := lab.refusal(OURS, question):
        yield from missing((name,), refusal)
        return
    loads = lab.rounds([OURS, UNCOUNTED], lambda server: lab.generator.peak(server, [question], lab.plan.seconds, FEW))
    yield quotient(name, loads[OURS], loads[UNCOUNTED])


def shadow(lab: Lab) -> Iterator[Figure]:
    """Ask a champion that sends a copy of every request, and one that sends none."""
    core, nice = lab.spare
    target = targets.ours(lab.model, lab.folder / "challenger", version=_CHALLENGER)
    with running(target, core, lab.questions[0], nice=nice):
        digest = sha256(lab.model.onnx.read_bytes())
        told = {"model": _CHALLENGER, "digest": digest, "url": f"http://{target.rest}", "percent": 100}
        document = {"decision": 1, "champion": VERSION, "targets": [told]}
        (lab.folder / TARGETS).write_text(json.dumps(document))
        champion = lab.server(SHADOWING)
        before = _copies(champion)
        loads = lab.rounds([SHADOWING, OURS], lab.peak_of)
        at_peak = _since(before, _copies(champion))
        say(f"  copies: {at_peak}")
        yield quotient("shadow on ÷ off: requests/s", loads[SHADOWING], loads[OURS])

        lab.peaks.setdefault(OURS, loads[OURS])
        rate = _PART * lab.peak(OURS)
        say(f"{rate:,.0f} requests/s to both")
        before = _copies(champion)
        loads = lab.rounds(
            [SHADOWING, OURS],
            lambda server: lab.generator.paced(server, lab.questions, lab.plan.seconds, rate=rate, spin=False),
        )
        say(f"  copies: {_since(before, _copies(champion))}")
        yield quotient("shadow on ÷ off: p99", loads[SHADOWING], loads[OURS], lambda load: load.ok.p99)


def workers(_lab: Lab) -> Iterator[Figure]:
    """Say that there is one process per pod."""
    why = "not chosen: one process serves a pod, so that its counts are in one place; more pods use more processors"
    yield figure("two workers ÷ one", None, why, is_open=False)


def _copies(champion: Server) -> dict[str, int]:
    """Count pairs, and copies without a pair by the side that is to blame."""
    found: dict[str, int] = {}
    with champion.thawed():
        page = champion.manage("/profile").decode()
    for line in page.splitlines():
        if line.startswith(("kingmaker_profile_shadow_pairs", "kingmaker_profile_shadow_failures")):
            name, _, value = line.rpartition(" ")
            label = name.rpartition('="')[2].rstrip('"}')
            found[label] = found.get(label, 0) + int(value)
    return found


def _since(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {label: count - before.get(label, 0) for label, count in after.items()}
