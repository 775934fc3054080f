"""All features of all windows that are looked at together, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from kingmaker.core.counts.findings import FeatureDrift, Severity, WindowFinding
from kingmaker.core.monitoring.reference import Reference
from kingmaker.core.monitoring.words import Moved, direction_of, shift_of
from kingmaker.core.statistics.columns import LOCATION, SHAPE, Cells, Comparison, Noise, compare_columns
from kingmaker.core.statistics.tails import Floats, combined
from kingmaker.core.wording import duration

ATTRIBUTION: Final = 0.05
"""Rate of false discoveries among the features that are named once an alarm is raised."""
MOST_NAMED: Final = 50
_FAR: Final = 5.0
"""How many times what is tolerated must be seen, in units of PSI, by whoever says that nothing moved."""


class Rules(Protocol):
    """What of the policy is needed to judge: severities with where they begin, and the level of a window."""

    @property
    def steps(self) -> tuple[tuple[Severity, float], ...]:
        """Severities with the difference at which they begin, mildest first."""

    def level(self, window: timedelta) -> float:
        """Level of all tests of one window together."""


@dataclass(frozen=True, slots=True, eq=False)
class Fairness:
    """What a window can be compared with.

    `cells` to use in place of the whole reference for the columns in `has`; `unknown` says why the shape of its columns
    can't be judged, if so.
    """

    cells: Cells | None = None
    has: NDArray[np.bool_] | None = None
    unknown: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Windows compared with what they can fairly be compared with; arrays are (windows, columns, …).

    `p_values` and `weights` are at the mildest tolerance, `visible` the shifts that would be seen as likely as not.
    """

    reference: Reference
    comparison: Comparison
    noise: Noise
    fair: Sequence[Fairness]
    judged: NDArray[np.bool_]
    rules: Rules

    @classmethod
    def of(
        cls,
        reference: Reference,
        compared: Comparison,
        noise: Sequence[Noise],
        fair: Sequence[Fairness],
        judged: NDArray[np.bool_],
        rules: Rules,
    ) -> Panel:
        """Put windows together.

        Args:
            reference: Their columns.
            compared: The windows compared with the whole reference.
            noise: What is usual in each.
            fair: What else each is compared with.
            judged: Which columns of which windows are judged.
            rules: When a difference counts.
        """
        together = Noise.together(noise)
        if any(f.unknown or f.cells for f in fair):
            together = replace(together, dispersion=together.dispersion.copy(), expected=together.expected.copy())
            compared = _fairly(reference, compared, together, fair)
        return cls(reference, compared, together, fair, judged, rules)

    def judge(self, findings: Sequence[WindowFinding]) -> list[WindowFinding]:
        """Say how far the columns of each window moved; `findings` say which windows they are."""
        (_, mildest), *_ = self.rules.steps
        p_values, weights = self._tested(self.comparison, mildest, self.noise, self.judged)
        windows = len(findings)
        levels = np.array([self.rules.level(finding.length) for finding in findings])
        overall = combined(p_values.reshape(windows, -1), weights.reshape(windows, -1))
        visible = self._visible(levels, weights.sum(axis=(-1, -2)))
        said = []
        for at, finding in enumerate(findings):
            columns = int(self.judged[at].sum())
            if not columns:
                said.append(replace(finding, lacking="every feature is ignored, broken or short of rows"))
            elif overall[at] <= levels[at]:
                said.append(self._moved(at, replace(finding, columns=columns), float(levels[at])))
            else:
                unseen = self.fair[at].unknown or self._blindness(visible[at], finding.length)
                severity = Severity.UNKNOWN if unseen else Severity.NONE
                said.append(replace(finding, severity=severity, columns=columns, lacking=unseen, hint=unseen))
        return said

    @staticmethod
    def _tested(
        comparison: Comparison, tolerance: float, noise: Noise, judged: NDArray[np.bool_]
    ) -> tuple[Floats, Floats]:
        p_values, weights = comparison.p_values(tolerance, noise)
        # Columns weigh the same, however many parts each has.
        parts = np.maximum(1, weights.sum(axis=-1, keepdims=True))
        return p_values, weights / parts * judged[..., None]

    def _moved(self, at: int, finding: WindowFinding, level: float) -> WindowFinding:
        """Say which columns of an alarmed window moved, and how far."""
        comparison, noise, judged = self.comparison.window(at), self.noise.window(at), self.judged[at]
        severity, found = Severity.NONE, dict[int, tuple[Severity, Moved, float]]()
        for step, tolerance in self.rules.steps:
            p_values, weights = self._tested(comparison, tolerance, noise, judged)
            # What is within one tolerance is within all greater ones.
            if combined(p_values.ravel(), weights.ravel()) > level:
                break
            rare = comparison.rare_p_values(tolerance, noise)
            severity, of_column = step, combined(p_values, weights)
            moved = Moved(comparison, noise, p_values, weights, rare)
            found |= {column: (step, moved, float(of_column[column])) for column in attributed(of_column, judged)}
        return replace(finding, severity=severity, features=self._named(found, comparison, finding.length))

    def _named(
        self, found: Mapping[int, tuple[Severity, Moved, float]], comparison: Comparison, window: timedelta
    ) -> tuple[FeatureDrift, ...]:
        """Name the columns that moved, those first that matter most."""
        columns = list(found)
        sizes = dict(zip(columns, self.reference.psi(comparison.current, columns).tolist(), strict=True))
        bare = {
            column: FeatureDrift(
                self.reference.names[column],
                window,
                step,
                "",
                sizes[column],
                p_value,
                importance=self.reference.columns[column].importance,
                is_output=bool(self.reference.is_output[column]),
            )
            for column, (step, _, p_value) in found.items()
        }
        first = sorted(columns, key=lambda column: by_weight(bare[column]))[:MOST_NAMED]
        return tuple(
            replace(
                bare[column],
                direction=direction_of(found[column][1], column, self.reference.rare_cells[column], ATTRIBUTION),
                shift=shift_of(comparison, column),
            )
            for column in first
        )

    def _visible(self, levels: Floats, tests: Floats) -> Floats:
        """Shifts (windows, columns) that would be seen as likely as not, in deviations; 0 where nothing is judged."""
        tolerance = next(tolerance for step, tolerance in self.rules.steps if step is Severity.DRIFT)
        dispersion = self.noise.dispersion
        # What can't be told from chance here is not seen at all.
        spread = np.where(self.reference.ordered, dispersion[..., LOCATION], dispersion[..., SHAPE])
        needed = -special.ndtri(levels / np.maximum(2, 2 * tests))[:, None]
        shift = np.sqrt(tolerance) + needed * np.sqrt(spread / np.maximum(self.comparison.effective, 1e-9))
        # A column that had one value, or none, can't shift among its values.
        visible: Floats = np.where(
            self.judged & self.reference.varies & ~self.reference.is_output,
            np.where(np.isnan(spread), np.inf, shift),
            0.0,
        )
        return visible

    def _blindness(self, visible: Floats, window: timedelta) -> str:
        """Say which shift could have been missed as likely as not, where that is a severe one."""
        worst = int(np.argmax(visible))
        tolerance = next(tolerance for step, tolerance in self.rules.steps if step is Severity.DRIFT)
        if visible[worst] <= np.sqrt(max(self.rules.steps[-1][1], _FAR * tolerance)):
            return ""
        rows, name = int(self.reference.cells.rows[worst]), self.reference.names[worst]
        if np.isinf(visible[worst]):
            return f"{name} varies too much from window to window of {duration(window)}"
        size_seen = np.ceil(10 * visible[worst]) / 10
        return (
            f"too few rows in {duration(window)}, or in the baseline ({rows}): of {name} only shifts of "
            f"{size_seen:.1f} standard deviations and more would be seen"
        )


def _fairly(reference: Reference, compared: Comparison, noise: Noise, fair: Sequence[Fairness]) -> Comparison:
    """Compare windows with what they can be compared with, and blind the parts that can't; changes `noise`."""
    whole, shape = reference.cells, compared.current
    ordinary = np.broadcast_to(whole.ordinary, shape.ordinary.shape).copy()
    rare = np.broadcast_to(whole.rare, shape.rare.shape).copy()
    for at, one in enumerate(fair):
        if one.unknown:
            noise.dispersion[at] = np.nan
        elif one.cells is not None and one.has is not None:
            ordinary[at][one.has], rare[at][one.has] = one.cells.ordinary[one.has], one.cells.rare[one.has]
            noise.dispersion[at][~one.has] = np.nan
            noise.expected[at] = 0
    return compare_columns(Cells(ordinary, rare), compared.current, ordered=reference.ordered)


def attributed(p_values: Floats, judged: NDArray[np.bool_]) -> list[int]:
    """Name the columns that moved, a part of at most `ATTRIBUTION` of them wrongly (Benjamini & Hochberg 1995).

    At least the one that moved most: some column did.
    """
    at = np.flatnonzero(judged)
    ordered = np.sort(p_values[at])
    within = ordered <= ATTRIBUTION * np.arange(1, len(at) + 1) / len(at)
    highest = ordered[within].max() if within.any() else ordered[0]
    named: list[int] = at[p_values[at] <= highest].tolist()
    return named


def by_weight(drift: FeatureDrift) -> tuple[float, ...]:
    """Sort by what matters most: features by how much they may have moved the predictions, then outputs."""
    return (drift.is_output, -drift.contribution, -drift.severity.rank)
