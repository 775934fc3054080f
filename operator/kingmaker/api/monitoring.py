"""`spec.monitoring`: when live data counts as drifted, and when as broken."""

from typing import Annotated

from pydantic import ConfigDict, Field

from kingmaker.api.common import ApiModel, rules, set_of
from kingmaker.api.text import PositiveDuration, Season, Share

FeatureName = Annotated[str, Field(min_length=1, max_length=256)]


class DriftMonitoring(ApiModel):
    """Comparison of live inputs and predictions with the champion's baseline."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("double(self.warning) <= double(self.tolerance)", "warning must not be above tolerance"),
        )
    )

    tolerance: Share = Share("0.05")
    """Difference that is drift, in units of the population stability index; "0.05" is a shift by about 0.23 sd."""
    warning: Share = Share("0.01")
    """Difference that is worth a warning, in the same units."""
    false_alarm_interval: PositiveDuration = PositiveDuration("26w")
    """Mean time between false alarms, over all features and windows together."""
    windows: tuple[PositiveDuration, ...] = Field(
        default=(PositiveDuration("1h"), PositiveDuration("24h"), PositiveDuration("168h")),
        min_length=1,
        max_length=5,
        json_schema_extra=set_of(),
    )
    """Lengths of the windows that are compared: short ones see big changes soon, long ones small changes at all."""
    season: Season = Season("24h")
    """Period in which the data repeats itself. Windows shorter than it are compared with the same time of earlier
    periods, by missing and out-of-range values alone until two were seen. "None": all times are alike."""
    min_rows: Annotated[int, Field(ge=50, le=100_000_000)] = 200
    """A window with fewer rows says nothing."""
    ignore_features: tuple[FeatureName, ...] = Field(default=(), max_length=500, json_schema_extra=set_of())
    """Features that are left out of the comparison."""


class DataQualityMonitoring(ApiModel):
    """Watch for missing and out-of-range values, which stop retraining and need a person, and for new ones."""

    maximum_percent: Annotated[int, Field(ge=1, le=100)] = 1
    """Percent of a feature's values that may be missing or infinite beyond the baseline's share; likewise what is new
    beyond what was to be expected."""


class Monitoring(ApiModel):
    """When live data counts as drifted, and when as broken."""

    drift: DriftMonitoring = DriftMonitoring()
    """Comparison of live inputs and predictions with the champion's baseline."""
    data_quality: DataQualityMonitoring = DataQualityMonitoring()
    """Watch for missing and out-of-range values, and for new ones."""
