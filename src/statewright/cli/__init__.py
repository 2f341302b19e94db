"""The command line, `statewright`: look at what is stored, send commands, draw and check definitions, run the demo.

It needs the extra `cli`. Each command is a module of its own in `commands`; `app` lists them.
"""

__all__ = ["main"]

_EXTRA = frozenset({"click", "rich", "typer"})


def main() -> None:
    """Run the command line, and end the process with its status.

    Raises:
        SystemExit: Always; with a message if the extra `cli` is not installed.
    """
    try:
        from .app import app  # noqa: PLC0415 - an optional dependency, and slow to import
    except ModuleNotFoundError as exc:
        missing = (exc.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        raise SystemExit(f'statewright: the command line needs {missing}: pip install "statewright[cli]"') from None
    app()
