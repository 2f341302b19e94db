"""Workflows of another process, over HTTP, behind the executor's own surface. It needs the extra `client`.

```python
from statewright.client import RemoteExecutor

async with RemoteExecutor[Order]("http://127.0.0.1:8000", Order) as orders:
    result = await orders.execute(order_id, AddItem(item="tea"))
```
"""

try:
    from .executor import RemoteExecutor
except ModuleNotFoundError as exc:
    if (exc.name or "").partition(".")[0] != "httpx2":
        raise
    raise ImportError(f'statewright.client needs {exc.name}: pip install "statewright[client]"') from exc

__all__ = ["RemoteExecutor"]
