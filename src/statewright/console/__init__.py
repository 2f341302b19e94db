"""The web console: a definition's machine with live counts, its workflows, their past, and forms for their commands.

`statewright.http.create_app` mounts it; it is an ASGI application like any other. Its pages are a frame from the
server and small ES modules of ours; they send commands through the public API, and load nothing from elsewhere.
"""

from __future__ import annotations

try:
    import grandalf  # type: ignore[import-untyped]
    import starlette
except ModuleNotFoundError as exc:
    raise ImportError('statewright.console needs its extra: pip install "statewright[http]"') from exc

from .application import create_console

__all__ = ["create_console"]

del grandalf, starlette
