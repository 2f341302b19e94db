"""Workflows over HTTP: a FastAPI router for each definition, or a whole application. It needs the extra `http`.

```python
from fastapi import FastAPI
from statewright.http import create_router

app = FastAPI()
app.include_router(create_router(orders), prefix="/api")  # /api/order/{id}, ...
```

`create_app([orders])` is the same as an application of its own, with the console, health and dead letters.
"""

try:
    from .app import create_app
    from .router import create_router
except ModuleNotFoundError as exc:
    if (exc.name or "").partition(".")[0] not in {"fastapi", "sse_starlette", "starlette"}:
        raise
    raise ImportError(f'statewright.http needs {exc.name}: pip install "statewright[http]"') from exc

__all__ = ["create_app", "create_router"]
