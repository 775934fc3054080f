"""Counts of real servers, looked at by an operator that ends and starts again."""

import json
import os
import signal
import urllib.request
from collections import Counter

from kingmaker.adapters.exposition import ExpositionReader
from kingmaker.core.counts.storage import load_ledger
from support.laptop import wait_for

REQUESTS = 40


def said(cluster, decision: int) -> Counter[str]:
    """Requests answered under a decision, per model digest, as the pods themselves say."""
    found: Counter[str] = Counter()
    for pod in cluster.list("pods", "app.kubernetes.io/component=serving"):
        with urllib.request.urlopen(f"http://{pod['status']['podIP']}:8082/profile", timeout=10) as response:
            counts = ExpositionReader().read(pod["metadata"]["uid"], response.read(), {}).counts
        if decision in counts.by_decision:
            found[counts.model_digest] += counts.by_decision[decision].arm.answered
    return found


def stored(cluster, decision: int) -> Counter[str]:
    """The same, as the operator stored it."""
    ledgers = cluster.list("cm", "app.kubernetes.io/component=ledger")
    totals = load_ledger(ledgers[0]["data"]["ledger.json"]).totals if ledgers else {}
    return Counter({d: counts[decision].arm.answered for d, counts in totals.items() if decision in counts})


def test_an_operator_that_ends_loses_and_repeats_no_count_of_servers_that_go_on(cluster) -> None:
    cluster.serve("points", challengers=[{"name": "b", "modelRef": {"name": "points-2"}, "weight": 50}])
    wait_for(lambda: cluster.get("mdep", "points")["status"].get("contest"), 60)
    decision = cluster.list("decisions")[-1]["spec"]["sequence"]
    operator = cluster.plane.folder / "processes" / "operator.json"
    url = f"{cluster.url('points')}/v2/models/points/infer"
    body = {"inputs": [{"name": "features", "datatype": "FP32", "shape": [1, 2], "data": [1.0, 2.0]}]}

    def send(requests: int) -> int:
        assert all(cluster.post(url, body)[0] == 200 for _ in range(requests))
        return said(cluster, decision).total()

    # The first requests may be under way before every router knows of the contest.
    wait_for(lambda: send(1), 60)
    for how in (None, signal.SIGKILL, signal.SIGTERM):
        before = said(cluster, decision).total()
        assert send(REQUESTS) == before + REQUESTS
        if how:
            os.kill(json.loads(operator.read_text())["pid"], how)
        wait_for(lambda: stored(cluster, decision) == said(cluster, decision), 60)
    assert all(count > 0 for count in said(cluster, decision).values())
    assert cluster.list("decisions")[-1]["spec"]["sequence"] == decision
