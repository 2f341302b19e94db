"""What of a save is encoded, and what of an answer is decoded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from ..._engine.ports import DeadLetter, Delivery, DueTimer, RecordedAnswer, SaveOptions, StoredWorkflow
from ..._model.commit import NO_METADATA, Commit, NewCommit, RecordedMessage
from ..._model.plain import to_text, to_value
from ..._model.snapshot import WorkflowSnapshot
from ..._model.timer import SetTimer, TimerWrite
from ...errors import ConcurrencyConflictError, StoreError
from .codec import Codec, UndecodableError

_PREFIX: Final = "statewright:"
"""Begins what was encoded, so that it is told apart from a state that is a string itself."""
_ENCODED: Final = "encoded"
"""The only key of a mapping that was encoded."""


class Coder:
    """Encodes everything that people put into workflows, and nothing that a store has to read.

    Encoded are the data of states, commands and events, waiting commands included, metadata, and the errors of dead
    letters. Ids, names, versions, times, positions and idempotency keys are what stores look things up by.
    """

    def __init__(self, codecs: Sequence[Codec], *, accept_plain: bool) -> None:
        self._codecs = tuple(codecs)
        self._accept_plain = accept_plain

    # --- text ------------------------------------------------------------------------------------------------------

    def _seal(self, text: str, place: str) -> str:
        for codec in self._codecs:
            text = codec.encode(text, place)
        return _PREFIX + text

    def _open(self, sealed: Any, place: str) -> str:
        if not isinstance(sealed, str) or not sealed.startswith(_PREFIX):
            raise _undecodable(place, "it is not encoded; accept_plain=True reads what was stored before")
        text = sealed.removeprefix(_PREFIX)
        try:
            for codec in reversed(self._codecs):
                text = codec.decode(text, place)
        except StoreError:
            raise
        except UndecodableError as exc:
            raise _undecodable(place, str(exc)) from exc
        except Exception as exc:  # a codec is the user's, and may ask somebody who is not there
            raise _undecodable(place, f"its codec raised {type(exc).__name__}") from exc
        return text

    def _encode(self, text: str, id: str, role: str) -> str:
        return to_text(self._seal(text, _place(role, id)))

    def _decode(self, text: str, id: str, role: str) -> str:
        if self._accept_plain and not text.startswith(f'"{_PREFIX}'):
            return text
        try:
            sealed = to_value(text)
        except ValueError:
            sealed = None  # no text of ours is like that
        return self._open(sealed, _place(role, id))

    # --- its parts -------------------------------------------------------------------------------------------------

    def _encode_message(self, message: RecordedMessage, id: str, role: str) -> RecordedMessage:
        return RecordedMessage.of_text(message.type, self._encode(message.text, id, role))

    def _decode_message(self, message: RecordedMessage, id: str, role: str) -> RecordedMessage:
        return RecordedMessage.of_text(message.type, self._decode(message.text, id, role))

    def _encode_mapping(self, mapping: Mapping[str, Any], id: str, role: str) -> Mapping[str, Any]:
        if not mapping:
            return mapping
        return {_ENCODED: self._seal(to_text(dict(mapping)), _place(role, id))}

    def _decode_mapping(self, mapping: Mapping[str, Any], id: str, role: str) -> Mapping[str, Any]:
        if not mapping or (self._accept_plain and list(mapping) != [_ENCODED]):
            return mapping
        opened: Mapping[str, Any] = to_value(self._open(mapping.get(_ENCODED), _place(role, id)))
        return opened

    def _encode_snapshot(self, snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        text = self._encode(snapshot.text, snapshot.id, f"state at version {snapshot.version}")
        return _with_text(snapshot, text)

    def snapshot(self, snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        """Return a snapshot decoded."""
        text = self._decode(snapshot.text, snapshot.id, f"state at version {snapshot.version}")
        return _with_text(snapshot, text)

    # --- saves -----------------------------------------------------------------------------------------------------

    def options(self, options: SaveOptions) -> SaveOptions:
        """Return a save encoded."""
        commits = tuple(self._encode_commit(commit) for commit in options.commits)
        # The last commit's snapshot is the one that is saved: encoded once, it stays the same.
        snapshot = commits[-1].snapshot if commits else self._encode_snapshot(options.snapshot)
        return replace(options, snapshot=snapshot, commits=commits)

    def _encode_commit(self, commit: NewCommit) -> NewCommit:
        id, at = commit.snapshot.id, f"at version {commit.version}"
        fingerprint, command = commit.fingerprint, commit.command
        return replace(
            commit,
            snapshot=self._encode_snapshot(commit.snapshot),
            command=None if command is None else self._encode_message(command, id, f"command {at}"),
            events=tuple(
                self._encode_message(event, id, f"event {number} {at}") for number, event in enumerate(commit.events)
            ),
            metadata=self._encode_mapping(commit.metadata, id, f"metadata {at}"),
            fingerprint=None if fingerprint is None else self._encode(fingerprint, id, f"fingerprint {at}"),
            timers=tuple(self._encode_timer_write(write, id) for write in commit.timers),
        )

    def _encode_timer_write(self, write: TimerWrite, id: str) -> TimerWrite:
        if isinstance(write, SetTimer):
            return replace(write, command=self._encode_message(write.command, id, "timer"))
        return write

    def conflict(self, error: ConcurrencyConflictError) -> None:
        """Decode the row that a conflict may carry; one that does not decode is left out, and will be loaded."""
        current = error.__dict__.get("current")
        if current is not None:
            try:
                error.__dict__["current"] = self.stored(current)
            except Exception:  # noqa: BLE001 - who loads it will be told what is wrong
                del error.__dict__["current"]

    # --- answers ---------------------------------------------------------------------------------------------------

    def stored(self, stored: StoredWorkflow) -> StoredWorkflow:
        """Return a stored workflow decoded.

        Raises:
            StoreError: It does not decode.
        """
        return replace(stored, snapshot=self.snapshot(stored.snapshot))

    def commit(self, commit: Commit) -> Commit:
        """Return a commit decoded.

        Raises:
            StoreError: It does not decode.
        """
        id, version, command = commit.workflow_id, commit.version, commit.command
        metadata = self._decode_mapping(commit.metadata, id, f"metadata at version {version}")
        return replace(
            commit,
            command=None if command is None else self._decode_message(command, id, f"command at version {version}"),
            events=self._events(commit.events, id, version),
            metadata=metadata or NO_METADATA,
        )

    def answer(self, answer: RecordedAnswer) -> RecordedAnswer:
        """Return a recorded answer decoded.

        Raises:
            StoreError: It does not decode.
        """
        id, version = answer.snapshot.id, answer.snapshot.version
        return replace(
            answer,
            fingerprint=self._decode(answer.fingerprint, id, f"fingerprint at version {version}"),
            snapshot=self.snapshot(answer.snapshot),
            events=self._events(answer.events, id, version),
        )

    def _events(self, events: tuple[RecordedMessage, ...], id: str, version: int) -> tuple[RecordedMessage, ...]:
        return tuple(
            self._decode_message(event, id, f"event {number} at version {version}")
            for number, event in enumerate(events)
        )

    # --- what waits ------------------------------------------------------------------------------------------------

    def encode_timer(self, timer: DueTimer) -> DueTimer:
        """Return a timer encoded."""
        return replace(timer, command=self._encode_message(timer.command, timer.workflow_id, "timer"))

    def timer(self, timer: DueTimer) -> DueTimer:
        """Return a timer decoded.

        Raises:
            StoreError: It does not decode.
        """
        return replace(timer, command=self._decode_message(timer.command, timer.workflow_id, "timer"))

    def encode_delivery(self, delivery: Delivery) -> Delivery:
        """Return a delivery encoded."""
        id, command = delivery.source_id, delivery.command
        return replace(
            delivery,
            command=None if command is None else self._encode_message(command, id, "delivery"),
            metadata=self._encode_mapping(delivery.metadata, id, "delivery"),
        )

    def delivery(self, delivery: Delivery) -> Delivery:
        """Return a delivery decoded.

        Raises:
            StoreError: It does not decode.
        """
        id, command = delivery.source_id, delivery.command
        return replace(
            delivery,
            command=None if command is None else self._decode_message(command, id, "delivery"),
            metadata=self._decode_mapping(delivery.metadata, id, "delivery"),
        )

    def encode_error(self, error: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the error of a dead letter encoded: it may quote a refusal's fields."""
        return self._encode_mapping(error, "", "error of a dead letter")

    def dead_letter(self, letter: DeadLetter) -> DeadLetter:
        """Return a dead letter decoded.

        Raises:
            StoreError: It does not decode.
        """
        command, role = letter.command, "timer" if letter.kind == "timer" else "delivery"
        return replace(
            letter,
            command=None if command is None else self._decode_message(command, letter.workflow_id, role),
            error=self._decode_mapping(letter.error, "", "error of a dead letter"),
        )


def _with_text(snapshot: WorkflowSnapshot, text: str) -> WorkflowSnapshot:
    facts: dict[str, Any] = {**vars(snapshot), "text": text}
    return WorkflowSnapshot.of_text(**facts)


def _place(role: str, id: str) -> str:
    """Return which text of which workflow a text is: one and the same for no two of them."""
    return f"{role} of workflow {id!r}" if id else role


def _undecodable(place: str, reason: str) -> StoreError:
    return StoreError(f"the {place} cannot be decoded: {reason}")
