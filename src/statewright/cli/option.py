"""Options that several commands have, so that they are called and described alike."""

from __future__ import annotations

from typing import Annotated, TypeAlias

import typer

from ..demo import FILE
from .place import STORE_VARIABLE

StoreOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store",
        "-s",
        metavar="FILE|DSN",
        envvar=STORE_VARIABLE,
        show_default=False,
        help=f"A SQLite file or a postgresql:// DSN. Default: {FILE}, if it is here and nothing else is named.",
    ),
]
RouterOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--router",
        "-r",
        metavar="MODULE:NAME",
        show_default=False,
        help="The WorkflowRouter or WorkflowExecutor to use. Default: the demo's own, for a file of the demo.",
    ),
]
ExecutorOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--router",
        "-r",
        metavar="MODULE:NAME",
        show_default=False,
        help="A WorkflowExecutor, to look into its store instead of --store.",
    ),
]
TargetArgument: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        metavar="MODULE:NAME",
        show_default=False,
        help="A WorkflowRouter or WorkflowExecutor. Default: the demo's own, for a file of the demo.",
    ),
]
IdArgument: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="The workflow's id.")]
JsonOption: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
