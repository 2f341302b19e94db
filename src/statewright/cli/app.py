"""The commands, in the order in which `statewright --help` shows them."""

from __future__ import annotations

from typing import Annotated

import typer

from .commands import check, demo, diagram, execute, history, letters, migrate, schema, serve, show, worker
from .commands import list as list_
from .program import Program
from .version import print_version

TRY = "Try it"
LOOK = "Look at what is stored"
ACT = "Change what is stored"
SERVE = "Put it in front of people"
DEFINE = "Look at a definition"

app = typer.Typer(
    cls=Program,
    name="statewright",
    help="Typed workflows that survive a restart: look at them, send them commands, draw and check their definitions.",
    epilog="Begin with: statewright demo",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
)

app.command("demo", rich_help_panel=TRY)(demo.demo)
app.command("list", rich_help_panel=LOOK)(list_.list_workflows)
app.command("show", rich_help_panel=LOOK)(show.show)
app.command("history", rich_help_panel=LOOK)(history.history)
app.command("readers", rich_help_panel=LOOK)(letters.readers)
app.command("execute", rich_help_panel=ACT)(execute.execute)
app.command("migrate", rich_help_panel=ACT)(migrate.migrate)
app.add_typer(letters.letters, name="letters", rich_help_panel=ACT)
app.command("worker", rich_help_panel=ACT)(worker.worker)
app.command("serve", rich_help_panel=SERVE)(serve.serve)
app.command("diagram", rich_help_panel=DEFINE)(diagram.diagram)
app.command("check", rich_help_panel=DEFINE)(check.check)
app.command("schema", rich_help_panel=DEFINE)(schema.schema)


@app.callback()
def options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""
