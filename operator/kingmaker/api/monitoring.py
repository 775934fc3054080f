"""`spec.monitoring`: when live data counts as drifted, and when as broken."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from kingmaker.api.common import ApiModel, rules, set_of
from kingmaker.api.text import Duration, Magnitude, PositiveDuration, Season, Share

FeatureName = Annotated[str, Field(min_length=1, max_length=256)]

Windows = Annotated[tuple[PositiveDuration, ...], Field(min_length=1, max_length=5, json_schema_extra=set_of())]
DEFAULT_WINDOWS = (PositiveDuration("1h"), PositiveDuration("24h"), PositiveDuration("168h"))


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
    windows: Windows = DEFAULT_WINDOWS
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


class PerformanceMeasure(StrEnum):
    """What is measured of a labelled request."""

    ERROR_RATE = "ErrorRate"
    """The part of its rows that were wrong."""
    ABSOLUTE_ERROR = "AbsoluteError"
    """By how much a number was off, at most eight times the usual; needs a baseline with errors on held-out rows."""


class MinimumPerformance(ApiModel):
    """The lowest figures that are good enough."""

    accuracy: Share
    """Part of the labelled rows that must be right, as a mean over requests."""


class PerformanceMonitoring(ApiModel):
    """Watch for a rise of the champion's error, from labels, and between labels by an estimate from its predictions.

    It is compared with the error on rows that the model was not fitted on, where the baseline has them, else with what
    its first labels said.
    """

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("!(has(self.minimum) && has(self.maximum))", "minimum and maximum say the same: set one of them"),
            (
                "!has(self.minimum) || !has(self.measure) || self.measure == 'ErrorRate'",
                "minimum.accuracy is about the measure ErrorRate: set maximum for AbsoluteError",
            ),
            (
                (
                    "!has(self.maximum) || double(self.maximum) <= 1.0 || "
                    "(has(self.measure) && self.measure == 'AbsoluteError')"
                ),
                "maximum is an error rate, at most 1, unless measure is AbsoluteError",
            ),
        )
    )

    measure: PerformanceMeasure | None = None
    """What is measured of a labelled request. Left out, AbsoluteError of a Regression whose baseline has its errors on
    held-out rows, and neither minimum nor maximum is set; else ErrorRate."""
    minimum: MinimumPerformance | None = None
    """The lowest figures that are good enough, whatever was expected."""
    maximum: Magnitude | None = None
    """The highest error that is good enough, whatever was expected: a rate such as "0.1", or a mean absolute error."""
    tolerance: Share = Share("0.1")
    """By how much the error may be above its reference, relative to it; "0.1" is a tenth more."""
    label_delay: Duration = Duration("24h")
    """How long most labels take to come. Until a champion has answered for so long its labels judge nothing."""
    false_alarm_interval: PositiveDuration = PositiveDuration("26w")
    """Mean time between false alarms, over all windows together."""
    windows: Windows = DEFAULT_WINDOWS
    """Lengths of the windows of labels: short ones see a great rise soon, long ones a small rise at all."""
    min_labels: Annotated[int, Field(ge=20, le=100_000_000)] = 100
    """A window with fewer labelled requests says nothing."""

    @property
    def highest_error(self) -> float | None:
        """The highest error that is good enough, in the measure's unit; None for any."""
        if self.minimum is not None:
            return 1.0 - float(self.minimum.accuracy)
        return float(self.maximum) if self.maximum is not None else None


class Monitoring(ApiModel):
    """When live data counts as drifted, and when as broken."""

    drift: DriftMonitoring = DriftMonitoring()
    """Comparison of live inputs and predictions with the champion's baseline."""
    data_quality: DataQualityMonitoring = DataQualityMonitoring()
    """Watch for missing and out-of-range values, and for new ones."""
    performance: PerformanceMonitoring = PerformanceMonitoring()
    """Watch for a rise of the champion's error."""
