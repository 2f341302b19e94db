"""Errors say which workflow, what was found and what was expected, in words that a log can be searched for."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from statewright import (
    ConcurrencyConflictError,
    DependencyError,
    Failure,
    IdempotencyError,
    InvalidDataError,
    MemoryStore,
    NotFoundError,
    OutcomeUnknownError,
    RestoreError,
    RoutingError,
    StoreError,
    UnexpectedError,
    WorkflowExecutor,
)
from tests.engine.test_executor import Breaking, Rigged, opened, orders
from tests.model.orders import AddItem, Cancelled, Draft, EmptyOrder, Open, Place, failed, routed


async def not_found() -> Any:
    return await orders().execute("o-9", AddItem(item="x"))


async def conflict() -> Any:
    return await (await opened()).execute("o-1", AddItem(item="x"), expected_version=7)


async def no_handler() -> Any:
    return await (await opened()).execute("o-1", Open())


async def unknown_command() -> Any:
    return await orders().execute("o-1", {"type": "Ship"})


async def invalid_argument() -> Any:
    return await orders().execute("o-1", Open(), expected_version="7")


async def invalid_command() -> Any:
    return await orders().execute("o-1", {"type": "AddItem", "payload": {"item": 3}})


async def invalid_state() -> Any:
    def handler(order: Draft, command: AddItem) -> Draft:
        return Cancelled()

    return await changed(handler)


async def restore() -> Any:
    return await orders(Rigged({"restore"})).execute("o-1", AddItem(item="x"))


async def key() -> Any:
    executor = orders()
    await executor.execute("o-1", Open(), idempotency_key="k")
    return await executor.execute("o-1", AddItem(item="x"), idempotency_key="k")


async def store_read() -> Any:
    return await orders(Loadless()).execute("o-1", Open())


class Loadless(Rigged):
    def __init__(self) -> None:
        super().__init__(set())

    async def load(self, id: str) -> Any:
        raise KeyError("password")


async def store_save() -> Any:
    return await (await opened(Breaking(KeyError("password")))).execute("o-1", AddItem(item="x"))


async def bug() -> Any:
    def handler(order: Draft, command: AddItem) -> Draft:
        raise KeyError("password")

    return await changed(handler)


async def middleware_bug() -> Any:
    async def middleware(ctx: Any, call_next: Any) -> Any:
        return None

    return await (await opened()).use(middleware).execute("o-1", AddItem(item="x"))


async def dependency() -> Any:
    def handler(order: Draft, command: AddItem, ctx: Any) -> Draft:
        ctx.deps["prices"].lookup()

    return await changed(handler, deps={"prices": Prices()})


class Prices:
    def lookup(self) -> None:
        raise KeyError("password")


async def refusal() -> Any:
    return await (await opened()).execute("o-1", Place())


async def changed(handler: Any, **options: Any) -> Any:
    def open_order(_: None, command: Open) -> Draft:
        return Draft()

    executor: Any = WorkflowExecutor(routed(open_order, handler, **options), MemoryStore())
    await executor.execute("o-1", Open())
    return await executor.execute("o-1", AddItem(item="x"))


MESSAGES: list[tuple[Any, type[BaseException], str, list[str]]] = [
    (not_found, NotFoundError, "not_found", ["'o-9'"]),
    (conflict, ConcurrencyConflictError, "conflict", ["'o-1'", "version 1", "version 7"]),
    (no_handler, RoutingError, "router", ["'order'", "'Draft'", "'Open'", "AddItem, Place, Cancel"]),
    (unknown_command, RoutingError, "router", ["'order'", "'Ship'", "Open, AddItem, Place, Cancel"]),
    (invalid_argument, InvalidDataError, "validation", ["order", "expected_version", "integer from 0", "str"]),
    (invalid_command, InvalidDataError, "validation", ["order", "'AddItem'", "item", "valid string"]),
    (invalid_state, InvalidDataError, "validation", ["order", "Draft", "Cancelled"]),
    (restore, RestoreError, "restore", ["'o-1'", "'order'", "'Unheard'", "Draft, Placed, Cancelled"]),
    (key, IdempotencyError, "idempotency", ["'o-1'", "'k'", "another command"]),
    (store_read, StoreError, "store", ["'o-1'", "KeyError"]),
    (store_save, OutcomeUnknownError, "store", ["'o-1'", "KeyError"]),
    (bug, UnexpectedError, "unexpected", ["'o-1'", "'order'", "handler", "KeyError"]),
    (middleware_bug, UnexpectedError, "unexpected", ["'o-1'", "'order'", "middleware", "NoneType"]),
    (dependency, DependencyError, "dependency", ["'o-1'", "'order'", "'prices'", "KeyError"]),
    (refusal, EmptyOrder, "domain", ["EmptyOrder", "minimum=1"]),
]


@pytest.mark.parametrize(("call", "kind", "category", "words"), MESSAGES, ids=[each[0].__name__ for each in MESSAGES])
async def test_an_error_says_where_and_what(
    call: Any, kind: type[BaseException], category: str, words: list[str]
) -> None:
    """Each has a category and a message with its facts, travels as JSON and by pickle, and never tells of its cause."""
    result = await call()
    error = failed(result, kind)

    assert isinstance(result, Failure)
    assert error.category == category
    assert [word for word in words if word not in str(error)] == []
    form = json.loads(json.dumps(error.to_dict()))
    assert (form["category"], form["message"]) == (category, str(error))
    assert "password" not in json.dumps(form)
    assert "password" not in str(error)
    twin = pickle.loads(pickle.dumps(error))
    assert (type(twin), twin.to_dict()["category"]) == (kind, category)
