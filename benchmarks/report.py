"""What was found, as a table for people and as data for programs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .contest import Effort, Outcome
from .scenario import Target

HEAD = ("", "median", "of the floor", "p99", "target", "reached")


def to_data(outcomes: Iterable[Outcome], effort: Effort, machine: Mapping[str, str], command: str) -> dict[str, Any]:
    """Return everything that was measured, JSON-safe."""
    return {
        "command": command,
        "machine": dict(machine),
        "rounds": effort.rounds,
        "seconds": effort.seconds,
        "scale": effort.scale,
        "scenarios": [_scenario_data(outcome) for outcome in outcomes],
    }


def _scenario_data(outcome: Outcome) -> dict[str, Any]:
    scenario = outcome.scenario
    return {
        "name": scenario.name,
        "title": scenario.title,
        "unit": scenario.unit,
        "floor": scenario.floor or None,
        "rows": [
            {
                "name": row,
                "median": outcome.value(row),
                "of_floor": outcome.ratio(row, [scenario.floor]),
                "rounds": [measured.to_dict() for measured in outcome.rows.get(row, [])],
            }
            for row in scenario.rows
        ],
        "targets": [_target_data(outcome, target) for target in scenario.targets],
        "failures": outcome.failures,
    }


def _target_data(outcome: Outcome, target: Target) -> dict[str, Any]:
    return {
        "row": target.row,
        "bound": target.bound,
        "value": target.value,
        "against": list(target.against),
        "reached": outcome.reached(target),
        "met": outcome.is_met(target),
    }


def to_table(outcomes: Iterable[Outcome]) -> str:
    """Return the results as Markdown tables, one for each scenario."""
    return "\n\n".join(_scenario_table(outcome) for outcome in outcomes) + "\n"


def _scenario_table(outcome: Outcome) -> str:
    scenario = outcome.scenario
    rows = [_cells(outcome, row) for row in scenario.rows]
    widths = [max(map(len, column)) for column in zip(HEAD, *rows, strict=True)]
    lines = [f"**{scenario.title}** (`{scenario.name}`, {scenario.unit})", "", _line(HEAD, widths), _rule(widths)]
    lines += [_line(cells, widths) for cells in rows]
    lines += [f"\n{name} failed: {_last_line(failure)}" for name, failure in outcome.failures.items()]
    return "\n".join(lines)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    first, *others = cells
    padded = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))]
    return "| " + " | ".join(padded) + " |"


def _rule(widths: list[int]) -> str:
    first, *others = widths
    return "|" + "-" * (first + 2) + "|" + "".join("-" * (width + 1) + ":|" for width in others)


def _cells(outcome: Outcome, row: str) -> tuple[str, ...]:
    scenario = outcome.scenario
    targets = [target for target in scenario.targets if target.row == row]
    late = outcome.fact(row, "p99_ms")
    return (
        row,
        _number(outcome.value(row)),
        _times(outcome.ratio(row, [scenario.floor])) if scenario.floor else "",
        f"{late:.1f} ms" if late is not None else "",
        "; ".join(_wish(target) for target in targets),
        "; ".join(_answer(outcome, target) for target in targets),
    )


def _wish(target: Target) -> str:
    sign = "≥" if target.bound == "at least" else "≤"
    if not target.against:
        return f"{sign} {_number(target.value)}"
    return f"{sign} {target.value:g} x {target.called or ' or '.join(target.against)}"


def _answer(outcome: Outcome, target: Target) -> str:
    reached = outcome.reached(target)
    figure = _times(reached) if target.against else _number(reached)
    return {True: f"{figure} yes", False: f"{figure} NO", None: "-"}[outcome.is_met(target)]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _times(ratio: float | None) -> str:
    if ratio is None:
        return "-"
    return f"{ratio:.2f} x" if ratio < 20 else f"{ratio:.0f} x"


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] if text.strip() else "no message"
