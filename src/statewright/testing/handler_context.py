"""A context for calling a handler directly."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .._model.commit import NO_METADATA
from .._model.context import Context, read_only
from .._model.workflow import Workflow, foreign_state
from .clock import ManualClock


def context(
    workflow: type[Workflow[Any, Any, Any, Any]],
    *,
    id: str = "given",
    version: int | None = None,
    now: datetime | None = None,
    state: Any = None,
    command: Any = None,
    deps: Any = None,
    metadata: Mapping[str, Any] | None = None,
) -> Context[Any, Any]:
    """Make a context, for calling a handler directly.

    ```python
    ctx = context(Order, id="o-1", now=noon)
    assert place(Draft(items=["tea"]), Place(), ctx) == Placed(items=["tea"], placed_at=noon)
    assert ctx.events == (OrderPlaced(order_id="o-1"),)
    ```

    Nothing is guarded: the handler gets the very dependencies that are given here, and their errors reach the test.

    Args:
        workflow: The workflow class.
        id: The workflow's id.
        version: The version before the command; by default 0, or 1 if there is a state.
        now: The present, aware; by default the moment at which a `ManualClock` starts.
        state: The state before the command; `None` before creation.
        command: The command, where the handler reads `ctx.command`.
        deps: What the handler finds as `ctx.deps`.
        metadata: What the handler finds as `ctx.metadata`.

    Raises:
        InvalidDataError: The state is none of the declared ones.
        ValueError: `now` is naive.
    """
    moment = (ManualClock() if now is None else ManualClock(now))()
    name, before = None, 0
    if state is not None:
        schema = workflow._definition.states.by_type.get(type(state))
        if schema is None:
            raise foreign_state(workflow._definition, state)
        name, before = schema.name, 1
    before = before if version is None else version
    facts = NO_METADATA if metadata is None else read_only(metadata)
    context: Context[Any, Any] = Context(workflow._definition, id, before, moment, name, state, command, facts, {})
    context._give(deps, guarded=False)
    return context
