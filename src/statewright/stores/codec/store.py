"""A store around another one, which keeps what it is given encoded."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from ..._engine.ports import SaveOptions, StoreAdapter, StoredWorkflow
from ...errors import ConcurrencyConflictError, DefinitionError
from .ability import ABILITIES, Ability, Pruning
from .codec import Codec
from .coder import Coder


class CodecStore:
    """A store around another one, which never sees the data of a state, command or event.

    ```python
    store = CodecStore(SQLiteStore("orders.db"), CompressionCodec(), AESGCMCodec({"2026": key}))
    ```

    It can do what that store can: folds, histories, idempotency keys, lists, timers, and all that workers need. What
    does not decode, because it was changed or its key is missing, is a `StoreError` that says so. Names, ids, versions,
    times and idempotency keys are stored as they are.

    Args:
        store: Any store.
        *codecs: Applied one after the other on the way to the store, and the other way round on the way back.
        accept_plain: Read what was stored without a codec, too: for the time in which a store that has been in use
            without one takes it on. Whoever can write to the store can put plain data there, so not for ever.

    Raises:
        DefinitionError: No store, or no codec.
    """

    _store: Any
    _coder: Coder
    _options: tuple[tuple[Codec, ...], bool]

    def __new__(cls, store: StoreAdapter, *codecs: Codec, accept_plain: bool = False) -> Self:  # noqa: ARG004 - for init
        """Make a store that can do what the wrapped one can: protocols are recognised by methods of the class."""
        able = [ability for protocol, ability in ABILITIES if isinstance(store, protocol)]
        able += [ability for method, ability in (("prune", Pruning), ("bind", _Binding)) if hasattr(store, method)]
        dressed = type(cls.__name__, (*able, cls), {"__doc__": cls.__doc__, "__module__": cls.__module__})
        return cast("Self", object.__new__(dressed))

    def __init__(self, store: StoreAdapter, *codecs: Codec, accept_plain: bool = False) -> None:
        if isinstance(store, type) or not (hasattr(store, "load") and hasattr(store, "save")):
            raise DefinitionError(f"CodecStore wraps a store with load and save, found {store!r}")
        if not codecs or not all(hasattr(codec, "encode") and hasattr(codec, "decode") for codec in codecs):
            raise DefinitionError("CodecStore takes codecs with encode and decode, at least one")
        self._store = store
        self._coder = Coder(codecs, accept_plain=accept_plain)
        self._options = (codecs, accept_plain)

    @property
    def inner(self) -> StoreAdapter:
        """The wrapped store, in which everything is encoded."""
        inner: StoreAdapter = self._store
        return inner

    @property
    def bound(self) -> bool:
        """Whether saves go into a caller's transaction."""
        return bool(getattr(self._store, "bound", False))

    @property
    def is_open(self) -> bool:
        """Whether the wrapped store is open."""
        return bool(getattr(self._store, "is_open", False))

    @property
    def is_cacheable(self) -> bool:
        """Whether what was read or saved may be remembered: it is remembered decoded, in memory."""
        return bool(getattr(self._store, "is_cacheable", False))

    async def __aenter__(self) -> Self:
        if hasattr(self._store, "__aenter__"):
            await self._store.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if hasattr(self._store, "__aexit__"):
            await self._store.__aexit__(kind, error, traceback)

    async def setup(self) -> None:
        """Create or upgrade the wrapped store's schema, if it has one."""
        if hasattr(self._store, "setup"):
            await self._store.setup()

    async def load(self, id: str) -> StoredWorkflow | None:
        """Return what is stored under this id, decoded, or `None`.

        Raises:
            StoreError: As the wrapped store, or it does not decode.
        """
        stored = await self._store.load(id)
        return None if stored is None else self._coder.stored(stored)

    async def save(self, options: SaveOptions) -> None:
        """Save encoded.

        Raises:
            ConcurrencyConflictError: As the wrapped store, and so are all others.
        """
        try:
            await self._store.save(self._coder.options(options))
        except ConcurrencyConflictError as conflict:
            self._coder.conflict(conflict)
            raise


class _Binding(Ability):
    """Saves inside a caller's transaction."""

    _options: tuple[tuple[Codec, ...], bool]

    def bind(self, connection: Any) -> CodecStore:
        """Return a store that saves, encoded, inside the caller's open transaction."""
        bound = self._store.bind(connection)
        known: CodecStore | None = getattr(bound, "_codec_store", None)
        if known is None:  # one for each bound store, as there is one bound store for each connection
            codecs, accept_plain = self._options
            known = bound._codec_store = CodecStore(bound, *codecs, accept_plain=accept_plain)
        return known


if TYPE_CHECKING:
    _adapter: type[StoreAdapter] = CodecStore
