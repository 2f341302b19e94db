"""The figures as a picture: one panel per scenario, one bar per contender."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .contest import Outcome
from .scenario import OURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOUR_OURS, COLOUR_FLOOR, COLOUR_OTHER = "#1f6feb", "#6e7781", "#c9d1d9"


class NoDrawingError(Exception):
    """matplotlib is not installed."""


def worth_drawing(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes that are meant for the picture and have figures."""
    return [outcome for outcome in outcomes if outcome.scenario.in_picture and outcome.rows]


def draw(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw one panel for each scenario; without any, draw nothing.

    Raises:
        NoDrawingError: matplotlib is missing.
    """
    if not outcomes:
        return
    try:
        import matplotlib as mpl  # noqa: PLC0415 - an optional dependency, and slow to import
    except ImportError:
        raise NoDrawingError("the picture needs matplotlib: uv sync --group bench") from None
    mpl.use("Agg")
    # Without both, each run would give another file for the same figures.
    mpl.rcParams.update({"svg.hashsalt": "statewright", "font.size": 9})
    from matplotlib import pyplot as plt  # noqa: PLC0415 - after the back-end was chosen

    heights = [len(outcome.scenario.rows) + 1.2 for outcome in outcomes]
    figure, panels = plt.subplots(
        len(outcomes), 1, figsize=(9, 0.27 * sum(heights)), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for outcome, panel in zip(outcomes, panels[:, 0], strict=True):
        _draw_panel(outcome, panel)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _draw_panel(outcome: Outcome, panel: Axes) -> None:
    scenario = outcome.scenario
    rows = [row for row in scenario.rows if outcome.value(row) is not None]
    values = [outcome.value(row) or 0.0 for row in rows]
    bars = panel.barh(rows, values, color=[_colour(row, scenario.floor) for row in rows])
    labels = [_label(outcome, row, value) for row, value in zip(rows, values, strict=True)]
    panel.bar_label(bars, labels, padding=4, fontsize=8)
    panel.set_xlim(0, max(values) * 1.4)
    panel.set_title(f"{scenario.title} ({scenario.unit})", loc="left", fontsize=9, fontweight="bold")
    panel.invert_yaxis()
    panel.xaxis.set_visible(False)
    panel.spines[["top", "right", "bottom"]].set_visible(False)


def _colour(row: str, floor: str) -> str:
    if row.startswith(OURS):
        return COLOUR_OURS
    return COLOUR_FLOOR if row == floor else COLOUR_OTHER


def _label(outcome: Outcome, row: str, value: float) -> str:
    ratio = outcome.ratio(row, [outcome.scenario.floor])
    return f"{value:,.0f}" if ratio is None else f"{value:,.0f}  ({ratio:.2f} x floor)"
