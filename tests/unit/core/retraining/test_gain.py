"""Whether a run is worth it: the surest rise of the error, against what runs and errors cost."""

from datetime import timedelta

import pytest

from kingmaker.api import Reason, Retraining
from kingmaker.core.counts.data_monitor import DriftFinding
from kingmaker.core.counts.performance_monitor import PerformanceFinding
from kingmaker.core.retraining.obstacles import Wish, find_obstacle
from kingmaker.core.retraining.triggers import Due, Findings
from kingmaker.core.state import State
from kingmaker.core.statistics.rates import Interval
from support.world import START
from unit.core.retraining.test_retraining_runs import RETRAINING

DRIFTED = DriftFinding(persistent=True, features=("income",), window="1h")


def obstacle(spec, *, rise=(0.05, 0.07), per_hour=1000.0, reason=Reason.PERFORMANCE_DEGRADED):
    errors = PerformanceFinding(rise=Interval(*rise) if rise else None, requests_per_hour=per_hour)
    retraining = Retraining.model_validate(RETRAINING | spec)
    wish = Wish(retraining, State(), START + timedelta(minutes=1), Due(reason, "due"), Findings(DRIFTED, errors))
    return find_obstacle(wish)


@pytest.mark.parametrize(
    ("training", "is_worth_it"),
    # 1,000 an hour * 720 h * 0.05 * 0.01 = 360; a fifth more than a run costs must be saved.
    [("299", True), ("301", False)],
)
def test_a_run_begins_where_it_surely_saves_more_than_it_costs(training: str, is_worth_it: bool) -> None:
    found = obstacle({"costs": {"training": training, "perError": "0.01"}})
    assert (found is None) is is_worth_it
    if found:
        assert found.reason is Reason.GAIN_TOO_SMALL
        assert training in found.message


@pytest.mark.parametrize("rise", [(0.009, 0.5), (-0.1, 0.2)])
def test_only_the_lower_bound_of_the_rise_counts(rise) -> None:
    found = obstacle({"minimumGain": "0.01"}, rise=rise)
    assert found is not None
    assert found.reason is Reason.GAIN_TOO_SMALL
    assert obstacle({"minimumGain": "0.01"}, rise=(0.011, 0.5)) is None


@pytest.mark.parametrize("spec", [{"minimumGain": "0.5"}, {"costs": {"training": "999999", "perError": "0"}}])
def test_where_nobody_knows_the_rise_drift_decides_and_age_asks_nobody(spec) -> None:
    assert obstacle(spec, rise=None, reason=Reason.DRIFT_PERSISTED) is None
    assert obstacle(spec, reason=Reason.MODEL_TOO_OLD) is None
    assert obstacle(spec, reason=Reason.DRIFT_PERSISTED) is not None


def test_without_costs_nothing_is_weighed() -> None:
    assert obstacle({}, rise=(0.0, 0.1)) is None
