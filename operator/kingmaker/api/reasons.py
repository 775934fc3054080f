"""Which reasons stand where: in a condition of which kind, in a Decision. What each means is said beside `Reason`."""

from collections.abc import Mapping
from typing import Final

from kingmaker.api.conditions import ConditionType, Reason

Reasons = tuple[Reason, ...]

_REFUSED: Final = (
    Reason.DOWNLOAD_FAILED,
    Reason.UNSUPPORTED_SCHEME,
    Reason.DIGEST_MISMATCH,
    Reason.TOO_LARGE,
    Reason.INVALID_MODEL,
    Reason.SIGNATURE_MISMATCH,
    Reason.EXAMPLE_MISMATCH,
    Reason.INVALID_BASELINE,
    Reason.INVALID_EXAMPLES,
    Reason.VERIFICATION_FAILED,
    Reason.INTERNAL,
)
_BLOCKED: Final = (Reason.CHAMPION_NOT_FOUND, Reason.CHAMPION_NOT_READY, Reason.PODS_FAILING, Reason.NAME_TAKEN)
_WORKING: Final = (
    Reason.CHAMPION_NOT_READY,
    Reason.PROGRESSING,
    Reason.PODS_FAILING,
    Reason.PODS_REFUSED,
    Reason.CHAMPION_UNAVAILABLE,
    Reason.NO_ROUTER,
    Reason.ROUTER_PENDING,
    Reason.ROUTER_REJECTED,
)
_HOLDING: Final = (
    Reason.STAGE_RUNNING,
    Reason.THIN_EVIDENCE,
    Reason.NO_LABELS,
    Reason.SPLIT_MISMATCH,
    Reason.CLASS_UNPROVEN,
    Reason.MEASURE_UNAVAILABLE,
    Reason.SELECTIVE_LABELS,
    Reason.AWAITING_PROMOTION,
    Reason.AWAITING_APPROVAL,
    Reason.PROMOTION_NEVER,
    Reason.PAUSED,
)
_UNWATCHED: Final = (Reason.TOO_FEW_ROWS, Reason.NO_BASELINE, Reason.CHAMPION_UNAVAILABLE)
_OBSTACLES: Final = (
    Reason.SUSPENDED,
    Reason.DATA_QUALITY_BROKEN,
    Reason.GAIN_TOO_SMALL,
    Reason.COOLDOWN,
    Reason.BUDGET_EXHAUSTED,
)

MODEL_REASONS: Final[Mapping[ConditionType, Reasons]] = {
    ConditionType.READY: (Reason.VERIFIED, Reason.VERIFYING, *_REFUSED),
    ConditionType.RECONCILING: (Reason.VERIFYING,),
    ConditionType.STALLED: _REFUSED,
}
"""Conditions of a Model."""

DEPLOYMENT_REASONS: Final[Mapping[ConditionType, Reasons]] = {
    ConditionType.READY: (Reason.SERVING, *dict.fromkeys((*_BLOCKED, *_WORKING))),
    ConditionType.RECONCILING: _WORKING,
    ConditionType.STALLED: _BLOCKED,
    ConditionType.CHAMPION_AVAILABLE: (Reason.SERVING, Reason.CHAMPION_UNAVAILABLE),
    ConditionType.ROUTER_CONFIGURED: (
        Reason.ROUTER_ACKNOWLEDGED,
        Reason.ROUTER_PENDING,
        Reason.ROUTER_REJECTED,
        Reason.NO_ROUTER,
    ),
    ConditionType.AUTOSCALING_ACTIVE: (
        Reason.FOLLOWING_LOAD,
        Reason.AT_MAXIMUM,
        Reason.METRICS_UNAVAILABLE,
        Reason.SCALING_FAILED,
        Reason.AUTOSCALER_PENDING,
    ),
    ConditionType.CONTEST_IN_PROGRESS: (
        *_HOLDING,
        Reason.NO_CHALLENGER,
        Reason.CHALLENGER_NOT_FOUND,
        Reason.CHALLENGER_NOT_READY,
        Reason.CHALLENGER_UNAVAILABLE,
        Reason.PODS_FAILING,
        Reason.PODS_REFUSED,
    ),
    ConditionType.PROMOTION_PENDING: (*_HOLDING, Reason.NO_CHALLENGER),
    ConditionType.MODEL_DRIFT_DETECTED: (
        Reason.NO_DRIFT,
        Reason.DRIFT_WARNING,
        Reason.DRIFT_ABOVE_TOLERANCE,
        *_UNWATCHED,
    ),
    ConditionType.DATA_QUALITY_BROKEN: (
        Reason.DATA_QUALITY_GOOD,
        Reason.NOVEL_VALUES,
        Reason.DATA_QUALITY_ABOVE_MAXIMUM,
        *_UNWATCHED,
    ),
    ConditionType.MODEL_PERFORMANCE_DEGRADED: (
        Reason.PERFORMANCE_AS_EXPECTED,
        Reason.ERROR_ABOVE_REFERENCE,
        Reason.ERROR_ABOVE_MAXIMUM,
        Reason.ESTIMATE_ABOVE_REFERENCE,
        Reason.ESTIMATE_ABOVE_MAXIMUM,
        Reason.NO_LABELS,
        Reason.NO_REFERENCE,
        Reason.TOO_FEW_LABELS,
        Reason.LABELS_PENDING,
        Reason.CHAMPION_UNAVAILABLE,
    ),
    ConditionType.RETRAINING_ACTIVE: (Reason.JOB_RUNNING, Reason.NOT_CONFIGURED, Reason.NOT_DUE, *_OBSTACLES),
}
"""Conditions of a ModelDeployment."""

DECISION_REASONS: Final[Reasons] = (
    Reason.FIRST_CHAMPION,
    Reason.CHAMPION_CHANGED,
    Reason.CHAMPION_CONFIRMED,
    Reason.CHALLENGER_DECLARED,
    Reason.CHALLENGER_ENROLLED,
    Reason.CHALLENGER_REPLACED,
    Reason.CHALLENGER_WITHDRAWN,
    Reason.CHALLENGER_UNAVAILABLE,
    Reason.FAMILY_MISMATCH,
    Reason.SIGNATURE_MISMATCH,
    Reason.CONTEST_RUNNING,
    Reason.SPLIT_CHANGED,
    Reason.STAGE_PASSED,
    Reason.STAGE_REMOVED,
    Reason.CONTEST_WON,
    Reason.WORSE_THAN_CHAMPION,
    Reason.WORSE_FOR_A_CLASS,
    Reason.WORSE_THAN_PREDECESSOR,
    Reason.ROLLBACK_WINDOW_OVER,
    Reason.ERRORS_ABOVE_CHAMPION,
    Reason.LATENCY_ABOVE_TOLERANCE,
    Reason.DISAGREEMENT_ABOVE_MAXIMUM,
    Reason.QUERY_BEYOND_BOUND,
    Reason.DEADLINE_EXCEEDED,
    Reason.CONTINUED,
    Reason.DRIFT_PERSISTED,
    Reason.PERFORMANCE_DEGRADED,
    Reason.MODEL_TOO_OLD,
    *_OBSTACLES,
    Reason.JOB_FAILED,
    Reason.INVALID_RESULT,
    Reason.REPEATED_RESULT,
    Reason.VERIFICATION_FAILED,
    Reason.NAME_TAKEN,
)
"""Reasons of Decisions. In `status.rejected`, `Superseded` stands for who lost the seat to a successor."""

REJECTED_REASONS: Final[Reasons] = (Reason.SUPERSEDED,)
"""Reasons in `status.rejected` that no Decision has."""
