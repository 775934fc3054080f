"""A simulation as a plot: one SVG, a row per scenario, alone or in a page."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from kingmaker.core.simulation.world import Moment

_WIDTH: Final = 960
_LEFT: Final = 60
_RIGHT: Final = 16
_ROW: Final = 190
_TOP: Final = 44
_PLOT: Final = 100
_SHADES: Final = {"Warning": "#fff3c4", "Drift": "#fbd5d5"}
_COLOURS: Final = {"Promote": "#1b7f3b", "Rollback": "#b00020", "Reject": "#b00020", "Retrain": "#1f4fbf"}
_NAMED: Final = frozenset({"Promote", "Rollback", "Reject", "Retrain", "Pause"})


@dataclass(frozen=True, slots=True)
class Row:
    """One scenario: what it is called, what held when, and the specs of its Decisions."""

    title: str
    moments: Sequence[Moment]
    decisions: Sequence[Mapping[str, Any]]


def draw(rows: Sequence[Row]) -> str:
    """Draw the champion's share of wrong answers over time, shaded where data drifted, with the decisions.

    Args:
        rows: At least one, with at least one moment each.
    """
    height = _ROW * len(rows) + 10
    top = max((_share(m) or 0.0 for row in rows for m in row.moments), default=0.0) or 1.0
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" ',
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    for place, row in enumerate(rows):
        parts.append(f'<g transform="translate(0 {place * _ROW})">{"".join(_row(row, top))}</g>')
    return "".join([*parts, "</svg>\n"])


def page(svg: str, text: str) -> str:
    """Put a drawing and the table into one page that needs nothing else."""
    head = "<!doctype html><html lang=en><meta charset=utf-8><title>kingmaker simulate</title>"
    return f"{head}<body style='max-width:60rem;margin:auto'>{svg}<pre>{html.escape(text)}</pre></body></html>\n"


def _row(row: Row, top: float) -> list[str]:
    begin, end = row.moments[0].at, row.moments[-1].at
    length = max((end - begin).total_seconds(), 1.0)

    def x(at: datetime) -> float:
        share = min(1.0, max(0.0, (at - begin).total_seconds() / length))
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return _TOP + _PLOT * (1 - share / top)

    bottom = _TOP + _PLOT
    title = html.escape(row.title or "as the file says")
    parts = [f'<text x="{_LEFT}" y="16" font-weight="bold">{title}</text>']
    for moment, following in zip(row.moments, [*row.moments[1:], row.moments[-1]], strict=True):
        if shade := _SHADES.get(moment.drift):
            left, width = x(moment.at), x(following.at) - x(moment.at) + 0.5
            parts.append(f'<rect x="{left:.1f}" y="{_TOP}" width="{width:.1f}" height="{_PLOT}" fill="{shade}"/>')
    points = [(x(m.at), y(share)) for m in row.moments if (share := _share(m)) is not None]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    parts.append(f'<polyline points="{line}" fill="none" stroke="#333" stroke-width="1.2"/>')
    parts.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{_WIDTH - _RIGHT}" fill="none" stroke="#999"/>')
    parts += [
        f'<text x="{_LEFT - 6}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.1%}</text>' for share in (0.0, top)
    ]
    for at, anchor in ((begin, "start"), (end, "end")):
        parts.append(f'<text x="{x(at):.1f}" y="{bottom + 16}" text-anchor="{anchor}">{at:%Y-%m-%d %H:%M}</text>')
    parts.append(f'<text x="12" y="{_TOP + _PLOT / 2}" transform="rotate(-90 12 {_TOP + _PLOT / 2})">wrong</text>')
    return [*parts, *_marks(row, x, bottom)]


def _marks(row: Row, x: Any, bottom: int) -> list[str]:  # noqa: ANN401  # a function of time
    parts = []
    for decision in row.decisions:
        at = datetime.fromisoformat(str(decision["at"]))
        action = str(decision["action"])
        colour = _COLOURS.get(action, "#bbb")
        said = html.escape(f"{decision['sequence']}. {action}: {decision.get('message', '')}"[:300])
        parts.append(
            f'<g><title>{said}</title><line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{_TOP - 6}" y2="{bottom}" '
            f'stroke="{colour}" stroke-width="1.4" stroke-dasharray="4 2"/>'
        )
        if action in _NAMED:
            anchor = "end" if x(at) > _WIDTH * 0.85 else "start"
            parts.append(
                f'<text x="{x(at):.1f}" y="{_TOP - 10}" text-anchor="{anchor}" fill="{colour}">{action}</text>'
            )
        parts.append("</g>")
    return parts


def _share(moment: Moment) -> float | None:
    return moment.record.wrong / moment.record.labelled if moment.record.labelled else None
