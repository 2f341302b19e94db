"""A rename in code is no rename in the store: stored names of states, commands, events and errors stay."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from statewright import (
    Context,
    DomainError,
    MemoryStore,
    RecordedMessage,
    RestoreError,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
)
from tests.model.orders import failed, succeeded


class Draft(BaseModel):
    items: list[str] = []


class AddItem(BaseModel):
    item: str


class ItemAdded(BaseModel):
    item: str


class Full(DomainError):
    limit: int = 2


class Cart(Workflow[Draft, AddItem, ItemAdded, Full], name="cart"): ...


class Basket(BaseModel):
    items: list[str] = []


class Put(BaseModel):
    item: str


class WasPut(BaseModel):
    item: str


class TooFull(DomainError):
    limit: int = 2


NAMES = {Basket: "Draft", Put: "AddItem", WasPut: "ItemAdded", TooFull: "Full"}


class Renamed(Workflow[Basket, Put, WasPut, TooFull], name="cart", stored_names=NAMES): ...


class Forgetful(Workflow[Basket, Put, WasPut, TooFull], name="cart"): ...


def executor(workflow: Any, state: Any, command: Any, event: Any, refusal: Any, store: Any) -> Any:
    """Return an executor of the same rules, in the words of one of the definitions."""
    router = WorkflowRouter(workflow)

    def put(cart: state | None, message: command, ctx: Context[Any, Any]) -> state:
        items = [*(cart.items if cart else []), message.item]
        if len(items) > 2:
            raise refusal(limit=2)
        ctx.emit(event(item=message.item))
        return state(items=items)

    router.on(put)
    return WorkflowExecutor(router, store)


async def test_new_code_goes_on_with_what_old_code_stored() -> None:
    """States, commands by name, events, keys and errors of renamed classes keep their stored names."""
    store = MemoryStore()
    old = executor(Cart, Draft, AddItem, ItemAdded, Full, store)
    new = executor(Renamed, Basket, Put, WasPut, TooFull, store)
    succeeded(await old.execute("c", AddItem(item="tea"), idempotency_key="k"))

    assert (await new.get("c")).data == Basket(items=["tea"])
    assert succeeded(await new.execute("c", Put(item="tea"), idempotency_key="k")).replayed
    succeeded(await new.execute("c", {"type": "AddItem", "payload": {"item": "milk"}}))
    error = failed(await new.execute("c", Put(item="more")), TooFull)

    assert (error.code, error.to_dict()["code"]) == ("Full", "Full")
    assert (await old.get("c")).data == Draft(items=["tea", "milk"])
    commits = await new.history("c")
    assert [commit.events for commit in commits] == [(WasPut(item="tea"),), (WasPut(item="milk"),)]
    assert commits[1].command == RecordedMessage("AddItem", {"item": "milk"})
    assert {commit.state for commit in commits} == {"Draft"}
    assert list(await new.available_commands("c")) == ["AddItem"]


async def test_without_the_stored_name_a_rename_is_seen() -> None:
    """Code that forgot the stored names does not guess."""
    store = MemoryStore()
    succeeded(await executor(Cart, Draft, AddItem, ItemAdded, Full, store).execute("c", AddItem(item="tea")))

    error = failed(
        await executor(Forgetful, Basket, Put, WasPut, TooFull, store).execute("c", Put(item="x")), RestoreError
    )

    assert "'Draft'" in str(error)
    assert "Basket" in str(error)
