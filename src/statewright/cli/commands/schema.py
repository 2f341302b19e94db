"""`statewright schema`: write a definition's schemas down, and say later what a change of them needs."""

from __future__ import annotations

import asyncio
import json as json_
from pathlib import Path
from typing import Annotated, Any

import typer

from ..._model.compatibility import Comparison, compare, describe
from ..._model.workflow import Workflow
from ..option import JsonOption, StoreOption, TargetArgument
from ..output import console, print_json
from ..program import MISUSED, WRONG, Complaint
from ..target import meant_router


def schema(
    target: TargetArgument = None,
    *,
    store: StoreOption = None,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="FILE", show_default=False, help="Write them to a file to keep.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option("--check", metavar="FILE", show_default=False, help="Compare them with that file.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Print, write or check the schemas of a definition.

    Keep the file beside your code. `--check` says which change since then needs a migration (a state removed or
    renamed, a field removed or made required, a type narrowed, an event renamed) and which does not. The status is 1
    if one does and `model_version` was not raised.
    """
    if write is not None and check is not None:
        raise Complaint("--write and --check do not go together: check first, then write", MISUSED)
    workflow = asyncio.run(meant_router(target, store))._workflow
    if check is not None:
        _check(check, workflow, as_json=json)
    elif write is not None:
        write.write_text(json_.dumps(describe(workflow), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        console().print(f"{write}: the schemas of {workflow.name} at model version {workflow.model_version}")
    else:
        print_json(describe(workflow))


def _check(file: Path, workflow: type[Workflow[Any, Any, Any, Any]], *, as_json: bool) -> None:
    comparison = compare(_read(file), workflow)
    if as_json:
        print_json(_report(comparison))
    else:
        _print(comparison, file, workflow.name)
    if not comparison.is_safe:
        raise typer.Exit(WRONG)


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise Complaint(f"{file}: no such file; --write {file} makes it")
    try:
        written = json_.loads(file.read_text(encoding="utf-8"))
    except ValueError as exc:
        raise Complaint(f"{file} is not JSON: {exc}") from exc
    if not isinstance(written, dict):
        raise Complaint(f"{file} holds no schemas of a workflow")
    return written


def _report(comparison: Comparison) -> dict[str, Any]:
    return {
        "ok": comparison.is_safe,
        "needs_migration": comparison.needs_migration,
        "written_version": comparison.written_version,
        "code_version": comparison.code_version,
        "is_current": comparison.is_current,
        "changes": [change.to_dict() for change in comparison.changes],
    }


def _print(comparison: Comparison, file: Path, name: str) -> None:
    out = console()
    for change in comparison.changes:
        out.print(f"{'needs a migration' if change.needs_migration else 'fine'}: {change}", soft_wrap=True)
    out.print(_verdict(comparison, name), soft_wrap=True)
    if comparison.is_safe and not comparison.is_current:
        out.print(f"the file is behind the code: statewright schema ... --write {file}", soft_wrap=True)


def _verdict(comparison: Comparison, name: str) -> str:
    was, now = comparison.written_version, comparison.code_version
    if now < was:
        return f"{name}: model_version went back from {was} to {now}; what is stored at {was} would be refused"
    if comparison.needs_migration and now == was:
        return f"{name}: raise model_version to {was + 1}, and add migrations.to({was + 1}, '...')"
    if comparison.needs_migration:
        return f"{name}: model_version was raised from {was} to {now}"
    return f"{name}: nothing needs a migration"
