from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from statewright import MemoryStore, WorkflowExecutor
from statewright.console import create_console
from statewright.demo import router


@pytest.fixture
def executor() -> WorkflowExecutor[Any]:
    return WorkflowExecutor(router, MemoryStore())


@pytest.fixture
async def browser(executor: WorkflowExecutor[Any]) -> AsyncIterator[httpx2.AsyncClient]:
    """Ask a console that is mounted below a prefix, as a proxy may have it."""
    console = create_console([executor], executor.store)
    transport = httpx2.ASGITransport(app=Starlette(routes=[Mount("/shop/console", console)]))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        yield client


ADDRESS = re.compile(r"(?:https?:)?//[a-z0-9][a-z0-9.-]*\.[a-z]{2,}", re.IGNORECASE)
NAMESPACE = "http://www.w3.org/2000/svg"


def foreign_addresses(text: str) -> list[str]:
    """Return what leads to another host; a namespace is a name, and leads nowhere."""
    return ADDRESS.findall(text.replace(NAMESPACE, ""))
