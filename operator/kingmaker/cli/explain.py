"""`kingmaker explain`: why a ModelDeployment is in its state, and what it waits for."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from kingmaker.adapters.clock import SystemClock
from kingmaker.api import Verdict
from kingmaker.cli.advice import advice_of
from kingmaker.cli.history import CHECK_HEADER, check_row, describe
from kingmaker.cli.reading import Target, add_target, connected, read_deployment, target_of
from kingmaker.cli.tables import WIDTH, render, wrap
from kingmaker.core.contest.assessment import ContestAssessment, JudgedContest, assess_contests, contest_rules
from kingmaker.core.contest.checks import evidence_of
from kingmaker.core.contest.judgement import Judgement
from kingmaker.core.counts.performance_monitor import PerformanceMonitor
from kingmaker.core.manifests.names import decision_name
from kingmaker.core.monitoring.evaluate import finding_of
from kingmaker.core.monitoring.watch_performance import finding_of_performance, performance_of
from kingmaker.core.observed import Observed, ObservedRouter
from kingmaker.core.retraining.assessment import assess_retraining
from kingmaker.core.retraining.triggers import Findings
from kingmaker.counting import read_ledger
from kingmaker.ports import Key
from kingmaker.snapshots.deployment import DeploymentSnapshots
from kingmaker_laptop.verbs.flags import Subparsers, add_verb

_EPILOG = """\
  kingmaker explain churn                 conditions, traffic, the running contest with its evidence so far

Reads the same snapshot as the operator and judges it with the same rules; it changes nothing.
exit codes: 0 printed; 1 there is no such ModelDeployment, or no cluster; 2 wrong usage
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Declare the verb."""
    parser = add_verb(subparsers, "explain", summary="say why a ModelDeployment is in its state", epilog=_EPILOG)
    add_target(parser)
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the explanation."""
    target = target_of(options)
    observed, last = asyncio.run(_read(target))
    sys.stdout.write("\n".join(explain(observed)) + "\n")
    if last:
        sys.stdout.write(f"\nlast decision\n{describe(last['spec'])}")
    return 0


class _NoRouters:
    """Stands in for the routers: what they acknowledged is known to the operator alone."""

    def routers(self, namespace: str, deployment: str) -> tuple[ObservedRouter, ...]:
        """Nothing is known."""
        del namespace, deployment
        return ()


async def _read(target: Target) -> tuple[Observed, dict[str, dict[str, object]] | None]:
    async with connected(target) as cluster:
        await read_deployment(cluster, target)
        snapshots = DeploymentSnapshots(cluster, SystemClock(), _NoRouters())
        snapshot = await snapshots.observe(Key("ModelDeployment", target.namespace, target.name))
        if snapshot is None:
            raise SystemExit(f"kingmaker: {target.name} is being deleted")
        observed = replace(snapshot.observed, ledger=read_ledger(snapshot.stored))
        name = decision_name(target.name, observed.state.sequence)
        last = await cluster.get("Decision", target.namespace, name) if observed.state.sequence else None
    return observed, dict(last) if last else None


def explain(observed: Observed) -> Iterator[str]:
    """Give the lines of the explanation."""
    deployment, state = observed.mdep, observed.state
    champion = state.champion.name if state.champion else f"nobody yet (spec wants {deployment.spec.champion_ref.name})"
    yield f"{deployment.metadata.name}: champion {champion}"
    for share in state.traffic:
        pods = observed.variant(share.model)
        shadow = f", copies of {share.shadow_percent} %" if share.shadow_percent else ""
        yield f"  {share.model}: {share.weight} % of the requests{shadow}, {pods.ready}/{pods.desired} pods ready"
    yield ""
    rows = [(c.type, c.status, c.reason, "") for c in deployment.status.conditions]
    yield from render(("CONDITION", "STATUS", "REASON", ""), rows).splitlines()
    said = set[str]()
    for condition in deployment.status.conditions:
        if condition.message:
            yield from wrap(f"{condition.type}: {condition.message}", indent="  ")
        advice = advice_of(condition.reason)
        if advice and advice not in said:
            yield from wrap(f"next: {advice}", indent="    ")
        said.add(advice)
    yield from explain_performance(performance_of(observed.ledger.performance, state))
    yield from explain_retraining(observed)
    contests = assess_contests(observed, state, observed.ledger.totals)
    for judged in contests.judged:
        yield ""
        yield from explain_contest(contests, judged)
    if contests.reign and state.previous:
        yield ""
        yield f"{champion} beside {state.previous.name}, which it followed, until {state.previous.until:%H:%M:%S}Z"
        yield from _checks(contests.reign)


def explain_performance(monitor: PerformanceMonitor) -> Iterator[str]:
    """Give the lines about the champion's errors: what labels say, and what is expected without them."""
    if monitor.labelled is None and monitor.estimated is None:
        return
    yield ""
    yield "errors of the champion"
    for name, found, of in (
        ("by labels", monitor.labelled, "requests"),
        ("estimated without labels", monitor.estimated, "rows"),
    ):
        if found:
            low, high = found.within
            yield f"  {name}: {found.error:.4g} ({low:.4g} to {high:.4g}) in {found.requests} {of} of {found.window}"
            yield f"    {found.source}: {found.reference:.4g}; risen by {found.rise.low:+.4g} to {found.rise.high:+.4g}"
    if monitor.estimated:
        yield "    an estimate knows what moved in the data; a change of what is right shows in labels alone"
    if monitor.coverage is not None:
        yield f"  labels came for {monitor.coverage:.0%} of the requests"


def explain_retraining(observed: Observed) -> Iterator[str]:
    """Give the lines about a run that is due, and what forbids it."""
    ledger, champion = observed.ledger, observed.state.champion
    findings = Findings(
        finding_of(ledger.watch, observed.mdep, champion),
        finding_of_performance(ledger.performance, observed.mdep, champion),
    )
    retraining = assess_retraining(observed, observed.state, findings)
    if retraining.due is None or retraining.open:
        return
    yield ""
    since = f" since {retraining.due.since:%Y-%m-%d %H:%M:%S}Z" if retraining.due.since else ""
    yield from wrap(f"retraining is due{since}, {retraining.due.reason}: {retraining.due.message}", indent="  ")
    if retraining.obstacle:
        yield from wrap(f"not begun, {retraining.obstacle.reason}: {retraining.obstacle.message}", indent="  ")


def explain_contest(contests: ContestAssessment, judged: JudgedContest) -> Iterator[str]:
    """Give the lines about one contest: its stage, what the stage still needs, and every check.

    Args:
        contests: All contests of the deployment.
        judged: One of them.
    """
    contest, judgement = judged.contest, judged.judgement
    stage = contests.policy.stage(contest.stage)
    held = int((contests.observed.now - contest.runs[-1].since).total_seconds())
    yield f"contest of {contest.model}, stage {contest.stage} for {held} s, verdict {judgement.verdict}"
    if stage:
        wanted = int(stage.min_duration.total_seconds())
        yield f"  needs {wanted} s and {stage.min_requests} requests; has {held} s and {judgement.observations}"
    if ahead := judged.forecast:
        when = "never" if ahead.remaining is None else f"in about {_length(ahead.remaining)}"
        yield from wrap(
            f"at the present traffic and label rate it is shown {when}; the deadline is in {_length(ahead.deadline)}",
            indent="  ",
        )
    if stored := contests.observed.ledger.stored:
        yield f"  evidence as it was stored at {stored:%H:%M:%S}Z; the operator may have newer counts"
    rules = contest_rules(contests.observed, contests.state, contest, contests.verdict_policy)
    bounds = rules.measure.difference(judgement.in_force, rules.false_promotion)
    if bounds:
        between = f"{bounds[0]:+.4f} to {bounds[1]:+.4f}, {1 - rules.false_promotion:.0%} sure whenever one looks"
        yield from wrap(f"{rules.measure.name}: the challenger's less the champion's is {between}", indent="  ")
    missing = [check for check in judgement.promoting if check.verdict is not Verdict.PASS]
    yield from (line for check in missing for line in wrap(f"not shown: {check.rule}", indent="  "))
    yield from _checks(judgement)


def _length(length: timedelta) -> str:
    """Give a length of time in the unit that suits it."""
    hours = length.total_seconds() / 3600
    if hours >= 48:
        return f"{hours / 24:.0f} days"
    return f"{hours:.0f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"


def _checks(judgement: Judgement) -> Iterator[str]:
    """Give every check as a row, and what more there is to say."""
    rows = [check_row(evidence_of(check).manifest()) for check in judgement.checks]
    yield from ("  " + line for line in render(CHECK_HEADER, rows, width=WIDTH - 2).splitlines())
    for check in judgement.checks:
        if check.note:
            yield from wrap(f"{check.name} is inconclusive: {check.note}", indent="  ")
        elif check.estimate is None and check.n:
            yield from wrap(f"{check.name}: {check.rule}", indent="  ")
