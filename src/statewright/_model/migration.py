"""Old snapshots and events brought up to date."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from ..errors import DefinitionError, MigrationError
from .commit import RecordedMessage
from .parameters import WorkflowT
from .plain import to_value
from .snapshot import WorkflowSnapshot
from .workflow import Workflow

SnapshotStep: TypeAlias = Callable[[WorkflowSnapshot], WorkflowSnapshot]
EventStep: TypeAlias = Callable[[RecordedMessage], RecordedMessage]
SnapshotStepT = TypeVar("SnapshotStepT", bound=SnapshotStep)
EventStepT = TypeVar("EventStepT", bound=EventStep)

# A step changes what a workflow is, not which one it is nor what happened to it.
_KEPT = ("id", "definition", "version", "created_at", "updated_at")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a chain: from the model version before `to` up to it."""

    to: int
    description: str
    function: Callable[[Any], Any]
    event: str | None = None
    """Stored name of the events that it is for; `None` for snapshots."""

    def __str__(self) -> str:
        code = getattr(self.function, "__code__", None)
        where = f" ({code.co_filename}:{code.co_firstlineno})" if code is not None else ""
        return f"{getattr(self.function, '__qualname__', type(self.function).__qualname__)}{where}"


class Migrations(Generic[WorkflowT]):
    """The steps that bring what older code stored up to this code's `model_version`.

    ```python
    migrations = Migrations(Order)


    @migrations.to(2, "orders carry a currency")
    def add_currency(snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        return snapshot.replace(data={**snapshot.data, "currency": "EUR"})


    @migrations.event("OrderSent", to=2)
    def rename_sent(event: RecordedMessage) -> RecordedMessage:
        return RecordedMessage("OrderShipped", event.data)


    orders = WorkflowExecutor(router, store, migrations=migrations)
    ```

    Each step is a pure function from one model version to the next; together they must lead from `oldest` to the
    class's `model_version` without a gap, which is checked when an executor is built. A version that changed events
    alone needs no step for snapshots.

    Args:
        workflow: The workflow class, as it is now.
        oldest: The oldest model version that may still be stored; raise it to delete the steps for snapshots before.
            Commits are never rewritten, so steps for events stay, and `at` reads back to this version only.

    Raises:
        DefinitionError: `workflow` is no workflow class.
    """

    def __init__(self, workflow: type[WorkflowT], *, oldest: int = 1) -> None:
        if not (isinstance(workflow, type) and issubclass(workflow, Workflow) and workflow is not Workflow):
            raise DefinitionError(f"migrations belong to a workflow class, found {workflow!r}")
        self._workflow: type[Workflow[Any, Any, Any, Any]] = workflow
        self._oldest = oldest
        self._steps: list[Step] = []
        self._events: list[Step] = []

    @property
    def workflow(self) -> type[Any]:
        """The workflow class."""
        return self._workflow

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps for snapshots, in the order of their versions."""
        return tuple(self._steps)

    # --- registration ----------------------------------------------------------------------------------------------

    def to(self, version: int, description: str) -> Callable[[SnapshotStepT], SnapshotStepT]:
        """Register a step for snapshots: `(snapshot) -> snapshot`.

        It gets a snapshot of the version before, and returns `snapshot.replace(state=..., data=...)`, or the snapshot
        itself where nothing has changed. States can be renamed, split and merged this way. Model version and times are
        none of its business.

        Args:
            version: The model version that it leads to.
            description: What has changed, for people.

        Raises:
            MigrationError: The version is no number, or the description is empty.
        """
        _check_version(version)
        if not isinstance(description, str) or not description.strip():
            raise MigrationError(f"the migration to {version} needs a description: migrations.to({version}, '...')")

        def register(function: SnapshotStepT) -> SnapshotStepT:
            self._steps.append(Step(version, description, function))
            self._steps.sort(key=_target)
            return function

        return register

    def event(self, name: str, *, to: int) -> Callable[[EventStepT], EventStepT]:
        """Register a step for recorded events of one stored name: `(message) -> message`.

        Commits are never rewritten: it runs whenever a commit of an older model version is read. What comes out may
        have another name, and the steps of later versions go on from that one.

        Args:
            name: The stored name that the event had before this version.
            to: The model version since which it is recorded otherwise.

        Raises:
            MigrationError: The version is no number, or the name is empty.
        """
        _check_version(to)
        if not isinstance(name, str) or not name:
            raise MigrationError(f"migrations.event(name, to={to}) needs the stored name of an event, found {name!r}")

        def register(function: EventStepT) -> EventStepT:
            self._events.append(Step(to, name, function, name))
            self._events.sort(key=_target)
            return function

        return register

    # --- the chain -------------------------------------------------------------------------------------------------

    def check(self, workflow: type[Any] | None = None) -> None:
        """Check that the steps lead from the oldest model version to the code's, each one once.

        Args:
            workflow: The class that the steps are to be used for, where it is known.

        Raises:
            MigrationError: They do not, or they are another workflow's; says all that is wrong.
        """
        if problems := list(self._problems(workflow)):
            raise MigrationError(f"migrations of workflow {self._workflow.name!r}: {'; '.join(problems)}")

    def _problems(self, workflow: type[Any] | None) -> Iterator[str]:
        code, oldest = self._workflow.model_version, self._oldest
        if workflow is not None and workflow is not self._workflow:
            yield f"they were made for {_spelled(self._workflow)}, not for {_spelled(workflow)}"
        if type(oldest) is not int or not 1 <= oldest <= code:
            yield f"the oldest version is from 1 to the code's model_version {code}, found {oldest!r}"
            return
        seen: dict[tuple[int, str | None], Step] = {}
        for step in (*self._steps, *self._events):
            first = oldest if step.event is None else 1
            if not first < step.to <= code:
                yield f"{step} leads to version {step.to}, but the chain goes from {first} to {code} (model_version)"
            if (other := seen.setdefault((step.to, step.event), step)) is not step:
                yield f"{other} and {step} both lead to version {step.to}"
        covered = {step.to for step in (*self._steps, *self._events)}
        for version in range(oldest + 1, code + 1):
            if version not in covered:
                yield f"no step leads to version {version}"

    # --- running it ------------------------------------------------------------------------------------------------

    def upgrade(self, snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        """Return a snapshot brought up to the code's model version; one that is there already, as it is.

        Raises:
            MigrationError: A step failed, or no chain leads from the snapshot's version.
        """
        code, name = self._workflow.model_version, self._workflow.name
        if snapshot.definition != name:
            raise MigrationError(f"the snapshot belongs to workflow {snapshot.definition!r}, not {name!r}")
        if not self._oldest <= snapshot.model_version <= code:
            raise MigrationError(
                f"no chain leads from model version {snapshot.model_version} of workflow {name!r}; "
                f"it goes from {self._oldest} to {code}"
            )
        for version in range(snapshot.model_version + 1, code + 1):
            for step in self._steps:
                if step.to == version:
                    snapshot = _advanced(snapshot, step)
            snapshot = snapshot.replace(model_version=version)
        return snapshot

    def upgrade_event(self, message: RecordedMessage, model_version: int) -> RecordedMessage:
        """Return an event as it would be recorded today.

        Args:
            message: The event as it was recorded.
            model_version: The code's model version back then: the commit's.

        Raises:
            MigrationError: A step failed.
        """
        for step in self._events:
            if step.to > model_version and step.event == message.type:
                message = _rewritten(message, step)
        return message


class _Lent(WorkflowSnapshot):
    """The snapshot that a step is given: it remembers the data that it lent."""

    __slots__ = ("lent",)
    lent: list[Any]

    @classmethod
    def of(cls, snapshot: WorkflowSnapshot) -> _Lent:
        """Return a snapshot as it is given to a step."""
        lent = cls.of_text(**snapshot.__dict__)
        object.__setattr__(lent, "lent", [])
        return lent

    @property
    def data(self) -> Any:
        """The state's stored form, decoded afresh."""
        data = to_value(self.text)
        self.lent.append(data)
        return data

    def was_changed(self) -> bool:
        """Return whether data that was lent has been changed since."""
        return any(data != to_value(self.text) for data in self.lent)


def _advanced(snapshot: WorkflowSnapshot, step: Step) -> WorkflowSnapshot:
    given = _Lent.of(snapshot)
    result = _run(step, given)
    if not isinstance(result, WorkflowSnapshot):
        raise _broken(step, f"returned {type(result).__name__}, not a WorkflowSnapshot")
    if changed := [name for name in _KEPT if getattr(result, name) != getattr(snapshot, name)]:
        raise _broken(step, f"changed {', '.join(changed)}; a step changes state and data only")
    if result.text == snapshot.text and given.was_changed():
        raise _broken(step, "changed snapshot.data, which is a copy; return snapshot.replace(data=...)")
    return result


def _rewritten(message: RecordedMessage, step: Step) -> RecordedMessage:
    result = _run(step, message)
    if not isinstance(result, RecordedMessage):
        raise _broken(step, f"returned {type(result).__name__}, not a RecordedMessage")
    return result


def _run(step: Step, given: Any) -> Any:
    try:
        return step.function(given)
    except Exception as raised:
        # The class only: the text may quote what is stored.
        raise _broken(step, f"raised {type(raised).__name__}") from raised


def _broken(step: Step, found: str) -> MigrationError:
    what = f"the migration to version {step.to} ({step.description})"
    return MigrationError(f"{what} failed: {step} {found}")


def _target(step: Step) -> int:
    return step.to


def _check_version(version: object) -> None:
    if type(version) is not int:
        raise MigrationError(f"a migration leads to a model version, an integer, found {version!r}")


def _spelled(workflow: type[Any]) -> str:
    return f"{workflow.__module__}.{workflow.__qualname__}"
