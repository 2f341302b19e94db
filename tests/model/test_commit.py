"""Commits and recorded messages: facts that nobody can change."""

from __future__ import annotations

import copy
import itertools
import json
import os
import pickle
from typing import Any

import pytest

from statewright import Commit, NewCommit, RecordedMessage, WorkflowCommit
from statewright._model.commit import new_id
from tests.model.orders import NOON
from tests.model.test_snapshot import snapshot

COPIES = [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]
each_copy = pytest.mark.parametrize("copied", COPIES, ids=["copy", "deepcopy", "pickle"])


def new_commit(**changes: Any) -> NewCommit:
    facts: dict[str, Any] = {
        "id": "c-1",
        "snapshot": snapshot(),
        "command": RecordedMessage("AddItem", {"item": "tea"}),
        "events": (RecordedMessage("ItemAdded", {"item": "tea"}),),
        "recorded_at": NOON,
        "metadata": {"actor": "ann", "tags": ["a"]},
        "idempotency_key": "k-1",
    }
    return NewCommit(**{**facts, **changes})


def test_a_message_is_plain_data_that_cannot_be_changed() -> None:
    """A recorded message shares nothing with what it was made of or what it gave."""
    given = {"items": ["tea"]}
    message = RecordedMessage("Draft", given)
    given["items"].append("milk")
    message.data["items"].append("poison")

    assert message.data == {"items": ["tea"]}
    assert message.to_dict() == {"type": "Draft", "data": {"items": ["tea"]}}
    with pytest.raises(AttributeError):
        message.type = "Other"


def test_a_message_refuses_what_cannot_be_stored() -> None:
    """NaN and the like are refused in recorded messages, too."""
    with pytest.raises(ValueError, match="cannot be stored"):
        RecordedMessage("Draft", {"ratio": float("nan")})


def test_messages_match_and_compare_by_content() -> None:
    """Type and data can be matched, and decide equality whatever the order of keys."""
    match RecordedMessage("Draft", {"a": 1}):
        case RecordedMessage("Draft", {"a": value}):
            assert value == 1
        case _:
            pytest.fail("no match")

    one, other = (RecordedMessage("D", dict(pairs)) for pairs in itertools.permutations([("a", 1), ("b", 2)]))
    assert one == other
    assert hash(one) == hash(other)
    assert one != RecordedMessage("E", {"a": 1, "b": 2})
    assert one != {"a": 1, "b": 2}


def test_a_commit_gets_its_position() -> None:
    """A commit with a position has all facts of the one without, and a form for JSON."""
    commit = new_commit().at(7)

    assert isinstance(commit, Commit)
    assert (commit.position, commit.workflow_id, commit.definition, commit.version) == (7, "o-1", "order", 4)
    assert (commit.state, commit.model_version, commit.recorded_at) == ("Draft", 1, NOON)
    assert (commit.idempotency_key, commit.metadata["actor"]) == ("k-1", "ann")
    form = json.loads(json.dumps(commit.to_dict()))
    assert form["command"] == {"type": "AddItem", "data": {"item": "tea"}}
    assert form["metadata"] == {"actor": "ann", "tags": ["a"]}


@each_copy
def test_commits_can_be_copied(copied: Any) -> None:
    """`pickle`, `copy` and `deepcopy` give equal commits, whatever their metadata are kept in."""
    for commit in (
        new_commit(),
        new_commit().at(3),
        new_commit(metadata={}).at(4),
        NewCommit("c", snapshot(), None, (), NOON),
    ):
        assert copied(commit) == commit
        assert copied(commit).metadata == commit.metadata


@each_copy
def test_decoded_commits_can_be_copied(copied: Any) -> None:
    """So can the ones that an executor gives."""
    commit: WorkflowCommit[Any] = WorkflowCommit(
        position=1,
        id="c",
        workflow_id="o-1",
        definition="order",
        version=1,
        command=None,
        events=(),
        state="Draft",
        model_version=1,
        metadata={"a": [1]},
        idempotency_key=None,
        recorded_at=NOON,
    )

    assert copied(commit) == commit


def test_metadata_cannot_be_changed() -> None:
    """A commit's metadata are read-only, at any depth, and share nothing with what was given."""
    given: dict[str, Any] = {"actor": "ann", "tags": ["a"]}
    for commit in (new_commit(metadata=given), new_commit(metadata=given).at(1)):
        with pytest.raises(TypeError):
            commit.metadata["actor"] = "bob"
        commit.metadata["tags"].append("b")
        given["tags"].append("c")

        assert dict(commit.metadata) == {"actor": "ann", "tags": ["a"]}
        given["tags"] = ["a"]


def test_ids_are_unlike_each_other() -> None:
    """Ids are 32 hexadecimal digits, none twice."""
    ids = [new_id() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert {len(each) for each in ids} == {32}
    assert all(int(each, 16) >= 0 for each in ids)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only a fork shares memory")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the child does next to nothing
def test_ids_of_a_forked_process_are_its_own() -> None:
    """A child that was forked does not give the ids of its parent."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, " ".join(new_id() for _ in range(50)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        theirs = set(pipe.read().split())
    os.waitpid(child, 0)

    assert len(theirs) == 50
    assert not theirs & {new_id() for _ in range(50)}
