"""Compression and encryption around a store: nothing plain in the file, and every change is noticed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, RootModel

from statewright import (
    Context,
    DefinitionError,
    DomainError,
    MemoryStore,
    Migrations,
    Reactors,
    Send,
    Source,
    StoreError,
    Worker,
    Workflow,
    WorkflowExecutor,
    WorkflowRouter,
    migrate,
)
from statewright._engine import ports
from statewright.errors import ConcurrencyConflictError
from statewright.stores.codec import AESGCMCodec, CodecStore, CompressionCodec, UndecodableError
from statewright.stores.sqlite import SQLiteStore
from statewright.testing import ManualClock
from statewright.testing.contract.samples import following, loaded, opening
from tests.testing.stores import DictStore

MARKER = "marker-4711"
OLD, NEW = bytes(32), bytes(range(32))


class Draft(BaseModel):
    items: list[str] = []


class Sent(BaseModel):
    items: list[str]


class Note(RootModel[str]):
    pass


class Open(BaseModel):
    item: str = "tea"


class Add(BaseModel):
    item: str


class Ship(BaseModel): ...


class Remind(BaseModel):
    text: str


class Shipped(BaseModel):
    items: list[str]


class Full(DomainError):
    items: list[str]


class Order(Workflow[Draft | Sent | Note, Open | Add | Ship | Remind, Shipped, Full], name="order"):
    """An order."""


def routed(clock: Any = None) -> WorkflowRouter[Order, Any]:
    router: WorkflowRouter[Order, Any] = WorkflowRouter(Order, clock=clock)

    @router.on
    def open_order(_: None, command: Open, ctx: Context[Shipped, Any]) -> Draft:
        ctx.schedule(Remind(text=command.item), delay=timedelta(hours=1))
        return Draft(items=[command.item])

    @router.on
    def add(order: Draft, command: Add) -> Draft:
        return Draft(items=[*order.items, command.item])

    @router.on
    def remind(order: Draft, command: Remind) -> Draft:
        raise Full(items=[*order.items, command.text])

    @router.on
    def ship(order: Draft, command: Ship, ctx: Context[Shipped, Any]) -> Sent:
        ctx.emit(Shipped(items=order.items))
        return Sent(items=order.items)

    @router.on
    def refuse(order: Sent, command: Add) -> Sent:
        raise Full(items=[*order.items, command.item])

    return router


def sealed(**options: Any) -> AESGCMCodec:
    return AESGCMCodec({"old": OLD, "new": NEW}, current="new", **options)


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Any]:
    async with SQLiteStore(tmp_path / "orders.db") as store:
        yield store


@pytest.fixture
def store(file: Any) -> CodecStore:
    return CodecStore(file, sealed())


def written(directory: Path) -> bytes:
    """Return all that was written to a directory: the file, its log and its index."""
    return b"".join(path.read_bytes() for path in sorted(directory.iterdir()))


# --- nothing plain -------------------------------------------------------------------------------------------------


async def test_no_data_is_in_the_file(store: CodecStore, tmp_path: Path) -> None:
    """States, commands, events, metadata, keys' fingerprints, timers, deliveries and dead letters are all encoded."""
    clock = ManualClock()
    orders = WorkflowExecutor(routed(clock), store)
    reactors = Reactors()

    @reactors.on
    def follow(event: Shipped, source: Source) -> list[Send]:
        return [Send("order", f"{source.workflow_id}-{number}", Open(item=event.items[0])) for number in range(2)]

    @reactors.on
    def follow_badly(event: Shipped, source: Source) -> Send:
        return Send("order", source.workflow_id, Add(item=event.items[0]))

    worker = Worker(store, executors=[orders], reactors=reactors, start=0, clock=clock)
    facts = {"metadata": {"user": MARKER}, "idempotency_key": "k"}
    (await orders.execute("o-1", Open(item=MARKER), **facts)).unwrap()
    (await orders.execute("o-2", Open(item=MARKER), metadata={"user": MARKER})).unwrap()
    (await orders.execute("o-1", Ship(), metadata={"correlation_id": MARKER})).unwrap()
    await worker.run_until_idle()
    clock.advance(timedelta(hours=2))
    await worker.run_until_idle()

    letters = await store.dead_letters()
    assert [(letter.kind, letter.command.data) for letter in letters] == [("delivery", {"item": MARKER})]
    assert MARKER in json.dumps(dict(letters[0].error))
    assert (await orders.get("o-1-1")).data == Draft(items=[MARKER])
    assert (await orders.execute("o-1", Open(item=MARKER), **facts)).unwrap().replayed
    assert (await orders.history("o-1-0"))[0].metadata["correlation_id"] == MARKER
    found = written(tmp_path)
    assert b"o-1" in found
    assert MARKER.encode() not in found
    assert MARKER.encode().hex().encode() not in found


async def test_marker_would_be_found(file: Any, tmp_path: Path) -> None:
    """Without a codec the same commands leave their data in the file, so that the test above can fail."""
    await WorkflowExecutor(routed(), file).execute("o-1", Open(item=MARKER))

    assert MARKER.encode() in written(tmp_path)


async def test_names_stay_plain(store: CodecStore, file: Any) -> None:
    """What stores look things up by is not encoded: lists and counts by state go on working."""
    orders = WorkflowExecutor(routed(), store)
    await orders.execute("o-1", Open())
    await orders.execute("o-2", Open())
    await orders.execute("o-2", Ship())

    assert [found.id for found in await store.find(state="Sent")] == ["o-2"]
    assert dict(await store.count_by_state("order")) == {"Draft": 1, "Sent": 1}
    [raw] = await file.find(state="Sent")
    assert raw.snapshot.data.startswith("statewright:new.")
    [_, commit] = await file.history("o-2")
    assert (commit.command.type, [event.type for event in commit.events]) == ("Ship", ["Shipped"])


async def test_state_that_is_a_string(store: CodecStore) -> None:
    """A state whose data is a string is not taken for what a codec wrote."""
    orders = WorkflowExecutor(routed(), store)
    await orders.create("o-1", Note("statewright:new.AAAA"))

    assert (await orders.get("o-1")).data.root == "statewright:new.AAAA"


async def test_same_text_never_looks_the_same(file: Any, store: CodecStore) -> None:
    """Two workflows with the same data cannot be told to have it."""
    orders = WorkflowExecutor(routed(), store)
    await orders.execute("o-1", Open())
    await orders.execute("o-2", Open())

    first, second = await file.find()
    assert first.snapshot.text != second.snapshot.text


# --- keys ----------------------------------------------------------------------------------------------------------


async def test_rotation(file: Any) -> None:
    """After a rotation the new key writes, both read, and without the old one its texts are told by the key's name."""
    before = WorkflowExecutor(routed(), CodecStore(file, AESGCMCodec({"old": OLD})))
    await before.execute("o-1", Open(item="first"))
    await before.execute("o-2", Open())
    after = WorkflowExecutor(routed(), CodecStore(file, sealed()))

    assert (await after.execute("o-1", Add(item="second"))).unwrap().workflow.data.items == ["first", "second"]

    raw = [commit.command.data.partition(".")[0] for commit in await file.history("o-1")]
    assert raw == ["statewright:old", "statewright:new"]
    assert [commit.command.data["item"] for commit in await after.history("o-1")] == ["first", "second"]
    only_new = WorkflowExecutor(routed(), CodecStore(file, AESGCMCodec({"new": NEW})))
    assert (await only_new.get("o-1")).data.items == ["first", "second"]
    with pytest.raises(StoreError, match="written under the key 'old'; known are new"):
        await only_new.get("o-2")


async def test_wrong_key_under_a_known_id(file: Any) -> None:
    """Another key under the same id decodes nothing, and the message says that it may be that."""
    await WorkflowExecutor(routed(), CodecStore(file, AESGCMCodec({"k": OLD}))).execute("o-1", Open())

    with pytest.raises(StoreError, match="or written under another key with the id 'k'"):
        await WorkflowExecutor(routed(), CodecStore(file, AESGCMCodec({"k": NEW}))).get("o-1")


def test_keys_are_quoted_nowhere() -> None:
    """Neither `repr` nor a message holds a key."""
    secret = b"0123456789abcdef0123456789abcdef"

    assert repr(AESGCMCodec({"k": secret})) == "AESGCMCodec(keys=[k], current='k')"
    with pytest.raises(ValueError, match="'k' must be 16, 24 or 32 bytes") as caught:
        AESGCMCodec({"k": secret[:-1]})
    assert "012345" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "current", "complaint"),
    [
        ({}, None, "at least one"),
        ({"a": OLD, "b": NEW}, None, "one of a, b; found None"),
        ({"a": OLD}, "b", "one of a; found 'b'"),
        ({"a.b": OLD}, None, "a key's id is"),
        ({"": OLD}, None, "a key's id is"),
        ({1: OLD}, None, "a key's id is"),
        ({"a": "x" * 32}, None, "must be 16, 24 or 32 bytes"),
        (OLD, None, "takes its keys by id"),
    ],
    ids=["none", "which", "other", "dot", "empty", "number", "text", "bare"],
)
def test_wrong_keys_are_refused(keys: Any, current: Any, complaint: str) -> None:
    """Keys are checked where they are given."""
    with pytest.raises(ValueError, match=complaint):
        AESGCMCodec(keys, current=current)


def test_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without cryptography the codec says what to install; compression needs nothing."""
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)

    with pytest.raises(ImportError, match=r"statewright\[crypto\]"):
        AESGCMCodec({"k": OLD})
    assert CompressionCodec().encode("tea", "here") == "ttea"


def test_fresh_keys_differ() -> None:
    """A generated key is good, and never the same."""
    first, second = AESGCMCodec.generate_key(), AESGCMCodec.generate_key()

    assert first != second
    assert AESGCMCodec({"k": first}).decode(AESGCMCodec({"k": first}).encode("tea", "here"), "here") == "tea"


# --- tampering -----------------------------------------------------------------------------------------------------


async def tampered(store: CodecStore, directory: Path, statement: str) -> WorkflowExecutor[Order]:
    """Return an executor over two workflows of which the file was changed from outside."""
    orders = WorkflowExecutor(routed(), store)
    for id in ("o-1", "o-2"):
        await orders.execute(id, Open())
        await orders.execute(id, Add(item="mug"))
    connection = sqlite3.connect(directory / "orders.db", isolation_level=None)
    assert connection.execute(statement).rowcount == 1
    connection.close()
    return WorkflowExecutor(routed(), CodecStore(store.inner, sealed()))


TAMPERING = {
    "a bit": "UPDATE workflow SET data = replace(data, substr(data, 30, 1), 'x') WHERE id = 'o-1'",
    "cut off": "UPDATE workflow SET data = substr(data, 1, 40) || '\"' WHERE id = 'o-1'",
    "another workflow's": "UPDATE workflow SET data = (SELECT data FROM workflow WHERE id = 'o-2') WHERE id = 'o-1'",
    "an older version": "UPDATE workflow SET data = (SELECT data FROM commit_log WHERE workflow_id = 'o-1' AND version"
    " = 1) WHERE id = 'o-1'",
    "plain": "UPDATE workflow SET data = '{\"items\":[]}' WHERE id = 'o-1'",
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_tampering_is_noticed(store: CodecStore, tmp_path: Path, how: str) -> None:
    """Data that was changed, or put elsewhere, does not load, and no command is decided on it."""
    orders = await tampered(store, tmp_path, _in_this_schema(tmp_path, TAMPERING[how]))

    with pytest.raises(StoreError, match="the state at version 2 of workflow 'o-1' cannot be decoded"):
        await orders.get("o-1")
    error = (await orders.execute("o-1", Add(item="cup"))).error
    assert isinstance(error, StoreError)
    assert "cannot be decoded" in str(error)
    assert (await orders.get("o-2")).data.items == ["tea", "mug"]


def _in_this_schema(directory: Path, statement: str) -> str:
    """Put the names of the store's own tables into a statement."""
    with sqlite3.connect(directory / "orders.db") as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    connection.close()
    log = next(name for name in tables if name in {"commits", "commit_log", "workflow_commit"})
    return statement.replace("commit_log", log)


# --- around other things -------------------------------------------------------------------------------------------


async def test_commands_are_folded(file: Any) -> None:
    """Commands that wait for one workflow are saved together, as without a codec."""
    submit, saves = file.submit, []

    def counted(options: Any) -> Any:
        saves.append(len(options.commits))
        return submit(options)

    file.submit = counted
    orders = WorkflowExecutor(routed(), CodecStore(file, CompressionCodec()))
    await orders.execute("o-1", Open())
    results = await asyncio.gather(*(orders.execute("o-1", Add(item=str(number))) for number in range(50)))

    assert [result.unwrap().version for result in results] == list(range(2, 52))
    assert (await orders.at("o-1", 26)).data.items == ["tea", *map(str, range(25))]
    assert len(await orders.history("o-1", after=40)) == 11
    assert sum(saves) == 51
    assert len(saves) < 10


async def test_loser_is_given_the_current_row_decoded(store: CodecStore) -> None:
    """What a conflict carries of the row that was found is decoded, so that it need not be loaded again."""
    created = opening()
    await store.save(created)
    await store.save(following(created, data={"n": 1}))

    for save in (store.save, store.submit):
        with pytest.raises(ConcurrencyConflictError) as caught:
            await save(following(created))
        current = caught.value.__dict__["current"]
        assert (current.version, current.snapshot.data) == (2, {"n": 1})


async def test_loser_of_a_damaged_row_loads_again(file: Any, store: CodecStore) -> None:
    """A row that does not decode is left out of the conflict: whoever loads it is told why."""
    created = opening()
    await store.save(created)
    await file.save(following(await loaded(file), data="statewright:new.AAAA"))

    with pytest.raises(ConcurrencyConflictError) as caught:
        await store.save(following(created))

    assert "current" not in caught.value.__dict__


async def test_migration_of_an_encoded_store(store: CodecStore, tmp_path: Path) -> None:
    """A walk over a store decodes, upgrades and encodes."""

    class Newer(
        Workflow[Draft | Sent | Note, Open | Add | Ship | Remind, Shipped, Full], name="order", model_version=2
    ):
        """Tomorrow's order."""

    migrations = Migrations(Newer)
    migrations.to(2, "one more item")(
        lambda snapshot: snapshot.replace(data={"items": [*snapshot.data["items"], MARKER]})
    )
    await WorkflowExecutor(routed(), store).execute("o-1", Open())

    assert (await migrate(store, migrations, dry_run=False)).migrated == 1
    assert (await store.load("o-1")).snapshot.data == {"items": ["tea", MARKER]}
    assert MARKER.encode() not in written(tmp_path)


async def test_plain_data_of_before(file: Any, store: CodecStore) -> None:
    """With `accept_plain` a store that was used without a codec takes one on, workflow by workflow."""
    plain = WorkflowExecutor(routed(), file)
    await plain.execute("o-1", Open(item="first"), metadata={"user": "ann"}, idempotency_key="k")
    strict = WorkflowExecutor(routed(), store)
    with pytest.raises(StoreError, match="is not encoded; accept_plain=True"):
        await strict.get("o-1")

    both = WorkflowExecutor(routed(), CodecStore(file, sealed(), accept_plain=True))
    await both.execute("o-1", Add(item="second"), metadata={"user": "bob"})

    assert (await both.get("o-1")).data.items == ["first", "second"]
    assert (await strict.get("o-1")).data.items == ["first", "second"]
    assert [commit.metadata["user"] for commit in await both.history("o-1")] == ["ann", "bob"]
    assert (await both.execute("o-1", Open(item="first"), idempotency_key="k")).unwrap().replayed


async def test_subscriber_reads_decoded(store: CodecStore) -> None:
    """Those who wait for commits get them decoded."""
    orders = WorkflowExecutor(routed(), store)
    commits = store.subscribe(after=0)
    waiting = asyncio.ensure_future(anext(commits))
    await orders.execute("o-1", Open(item="tea"))

    assert (await waiting).command.data == {"item": "tea"}
    await commits.aclose()


async def test_forgetting(store: CodecStore) -> None:
    """Forgetting is the wrapped store's affair."""
    orders = WorkflowExecutor(routed(), store)
    await orders.execute("o-1", Open())

    assert await orders.forget("o-1")
    assert await store.load("o-1") is None
    assert await store.prune(older_than=timedelta(0)) == 0


async def test_store_of_two_methods() -> None:
    """A store of the user's own is wrapped like any other, and can do no more than it could."""
    inner = DictStore()
    store = CodecStore(inner, sealed())
    orders = WorkflowExecutor(plain_router(), store)

    assert (await orders.execute("o-1", Open(item=MARKER))).ok
    assert (await orders.execute("o-1", Add(item="mug"))).unwrap().workflow.data.items == [MARKER, "mug"]
    assert MARKER not in inner.rows["o-1"].text
    with pytest.raises(StoreError, match="keeps no history"):
        await orders.history("o-1")


def plain_router() -> WorkflowRouter[Order, Any]:
    router: WorkflowRouter[Order, Any] = WorkflowRouter(Order)

    @router.on
    def open_order(_: None, command: Open) -> Draft:
        return Draft(items=[command.item])

    @router.on
    def add(order: Draft, command: Add) -> Draft:
        return Draft(items=[*order.items, command.item])

    return router


def test_synchronous_surface(tmp_path: Path) -> None:
    """`sync()` opens and closes the wrapped store."""
    path = tmp_path / "orders.db"
    with WorkflowExecutor(routed(), CodecStore(SQLiteStore(path), sealed())).sync() as orders:
        orders.execute("o-1", Open(item=MARKER)).unwrap()
        assert orders.get("o-1").data.items == [MARKER]

    assert MARKER.encode() not in written(tmp_path)


@pytest.mark.parametrize(
    "make", [MemoryStore, lambda: SQLiteStore(":memory:"), DictStore], ids=["memory", "sqlite", "2"]
)
def test_wrapped_store_can_do_what_it_could(make: Any) -> None:
    """Every protocol that a store has, and no other, is one that it has around a codec."""
    inner = make()
    protocols = [
        value
        for name, value in vars(ports).items()
        if getattr(value, "_is_runtime_protocol", False) and name != "Publisher"
    ]
    able = {protocol.__name__ for protocol in protocols if isinstance(inner, protocol)}

    assert {each.__name__ for each in protocols if isinstance(CodecStore(inner, CompressionCodec()), each)} == able
    assert len(protocols) > 8


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: CodecStore(MemoryStore()), "at least one"),
        (lambda: CodecStore(MemoryStore(), "zlib"), "with encode and decode"),
        (lambda: CodecStore(MemoryStore, sealed()), "wraps a store"),
        (lambda: CodecStore(sealed(), sealed()), "wraps a store"),
    ],
    ids=["no codec", "a name", "a class", "a codec"],
)
def test_wrong_parts_are_refused(make: Any, complaint: str) -> None:
    """No store and no codec are found where they are given."""
    with pytest.raises(DefinitionError, match=complaint):
        make()


# --- compression ---------------------------------------------------------------------------------------------------


async def test_compression(file: Any, tmp_path: Path) -> None:
    """What is large becomes small, also before it is encrypted, and comes back as it was."""
    orders = WorkflowExecutor(routed(), CodecStore(file, CompressionCodec(), sealed()))
    large = "tea " * 10_000

    await orders.execute("o-1", Open(item=large))

    assert (await orders.get("o-1")).data.items == [large]
    assert len((await file.load("o-1")).snapshot.text) < len(large) / 50


@pytest.mark.parametrize("text", ["", "tea", "ü" * 3, "z", "t" * 511, "jalapeño 日本語 😀 " * 200, "tea " * 1000])
def test_compression_gives_back_what_it_took(text: str) -> None:
    """Every text comes back; a short one, or one that would grow, is left as it is."""
    codec = CompressionCodec()
    encoded = codec.encode(text, "here")

    assert codec.decode(encoded, "there") == text
    assert len(encoded) <= len(text) + 1
    assert encoded.startswith("z") is (len(text) >= 512)


@pytest.mark.parametrize("text", ["", "x", "z not base 85 \x7f", "zabcde", "z" + "a" * 50])
def test_damaged_compression_is_told(text: str) -> None:
    """What does not decompress is told without being quoted."""
    with pytest.raises(UndecodableError, match=r"does not decompress|not written by") as caught:
        CompressionCodec().decode(text, "here")

    assert "abcde" not in str(caught.value)


@pytest.mark.parametrize("level", [0, 10, "6"])
def test_wrong_level_is_refused(level: Any) -> None:
    """A level lies between 1 and 9."""
    with pytest.raises(ValueError, match="from 1 to 9"):
        CompressionCodec(level=level)


@pytest.mark.parametrize("text", ["", "new", "new.", "new.!!", "new.AAAA", "nobody.AAAA", ".AAAA", "a b.AAAA"])
def test_what_is_no_ciphertext_is_told(text: str) -> None:
    """Whatever was not encrypted here does not decrypt, and is told in words."""
    with pytest.raises(UndecodableError, match=r"not written by|was changed|written under the key 'nobody'"):
        sealed().decode(text, "here")


class Away(AESGCMCodec):
    """Asks somebody for its keys, who is not there."""

    is_away = False

    def decode(self, text: str, place: str) -> str:
        if self.is_away:
            raise ConnectionError("kms.example")
        return super().decode(text, place)


async def test_a_codec_that_fails_keeps_nobody_waiting(file: Any) -> None:
    """Whatever a codec raises, whoever lost a race or loads is answered: with an error that says where, not what."""
    codec = Away({"new": NEW}, current="new")
    store: Any = CodecStore(file, codec)
    created = opening()
    await store.save(created)
    await store.save(following(created))
    codec.is_away = True

    async with asyncio.timeout(30):
        with pytest.raises(ConcurrencyConflictError) as caught:
            await store.submit(following(created))
        with pytest.raises(StoreError, match="cannot be decoded: its codec raised ConnectionError") as failed:
            await store.load(created.id)

    assert "current" not in caught.value.__dict__
    assert "kms" not in str(failed.value)


async def test_text_that_was_written_by_hand_is_named(file: Any, store: CodecStore, tmp_path: Path) -> None:
    """A row whose text is no JSON any more is a StoreError, and no hang."""
    created = opening()
    await store.save(created)
    with contextlib.closing(sqlite3.connect(tmp_path / "orders.db", isolation_level=None)) as other:
        other.execute("UPDATE workflow SET data = 'half {'")

    async with asyncio.timeout(30):
        with pytest.raises(StoreError, match="is not encoded"):
            await store.load(created.id)
