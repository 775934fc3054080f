"""The operator's metrics while deployments come and go."""

from collections.abc import Iterator, Mapping

from prometheus_client.exposition import generate_latest

from kingmaker.adapters.metrics import OperatorMetrics
from kingmaker.core.plan import Gauges
from kingmaker.ports import Key


class Busy(Mapping[str, int]):
    """Weights during whose reading another deployment appears, as the event loop may let it."""

    def __init__(self, live: dict[Key, Gauges]) -> None:
        self._live = live

    def __getitem__(self, model: str) -> int:
        return 100

    def __iter__(self) -> Iterator[str]:
        self._live[a_key(f"d{len(self._live)}")] = Gauges()
        return iter(["a"])

    def __len__(self) -> int:
        return 1


def a_key(name: str) -> Key:
    return Key("ModelDeployment", "ns", name)


def exposition(live: dict[Key, Gauges]) -> str:
    metrics = OperatorMetrics(
        gauges=lambda: live,
        depth=lambda: 0,
        writes=lambda: 0,
        leads=lambda: True,
        transitions=lambda: 0,
        dropped=dict[str, int],
    )
    return generate_latest(metrics.registry).decode()


def test_deployments_may_come_and_go_while_metrics_are_read() -> None:
    live: dict[Key, Gauges] = {}
    live |= {a_key(name): Gauges(3, Busy(live)) for name in ("x", "y")}
    text = exposition(live)
    for name in ("x", "y"):
        assert f'kingmaker_decision_sequence{{deployment="{name}",namespace="ns"}} 3.0' in text


def test_a_model_whose_checks_have_evidence_has_a_series_each() -> None:
    text = exposition({a_key("churn"): Gauges(7, {"a": 95, "b": 5}, {("b", "errors"): 0.5})})
    where = 'deployment="churn",model="b",namespace="ns"'
    assert f"kingmaker_variant_weight_percent{{{where}}} 5.0" in text
    assert f'kingmaker_contest_log_e_value{{check="errors",{where}}} 0.5' in text
