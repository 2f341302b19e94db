"""From what a store keeps back to what the code knows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._model.commit import Commit, RecordedMessage, WorkflowCommit
from .._model.migration import Migrations
from .._model.snapshot import WorkflowSnapshot
from .._model.workflow import Workflow
from ..errors import DefinitionError, Issue, MigrationError, RestoreError


class Restorer:
    """Restores workflows and events of one definition.

    Args:
        workflow: The workflow class.
        migrations: Bring what older code wrote up to date; without them it does not restore.

    Raises:
        DefinitionError: `migrations` are none.
        MigrationError: The chain of migrations is broken, or another workflow's.
    """

    def __init__(self, workflow: type[Workflow[Any, Any, Any, Any]], migrations: Migrations[Any] | None) -> None:
        self.workflow = workflow
        self._definition = workflow._definition
        self.migrations = migrations
        if migrations is not None:
            if not isinstance(migrations, Migrations):
                found = type(migrations).__name__
                raise DefinitionError(f"the executor of workflow {workflow.name!r} takes Migrations, found {found}")
            migrations.check(workflow)

    def restore(self, snapshot: WorkflowSnapshot) -> Workflow[Any, Any, Any, Any]:
        """Return the workflow that a snapshot stands for, brought up to date.

        Raises:
            RestoreError: It does not load with this code.
        """
        return self.workflow.from_snapshot(self.updated(snapshot))

    def updated(self, snapshot: WorkflowSnapshot) -> WorkflowSnapshot:
        """Return a snapshot brought up to this code's model version, where migrations lead there.

        Raises:
            RestoreError: A step failed, or the steps do not reach back that far.
        """
        migrations, code = self.migrations, self._definition.model_version
        if migrations is None or snapshot.model_version >= code or snapshot.definition != self._definition.name:
            return snapshot
        try:
            return migrations.upgrade(snapshot)
        except MigrationError as exc:
            issue = Issue(("model_version",), str(exc), "migration_failed")
            raise RestoreError(snapshot.id, [issue], workflow=self._definition.name) from exc

    def events(self, recorded: Iterable[RecordedMessage], model_version: int) -> tuple[Any, ...]:
        """Return events decoded; one that no longer decodes stays as it was recorded."""
        return tuple(self._event(message, model_version) for message in recorded)

    def _event(self, message: RecordedMessage, model_version: int) -> Any:
        try:
            renamed = message
            if self.migrations is not None:
                renamed = self.migrations.upgrade_event(message, model_version)
            return self._definition.events.by_name[renamed.type].load(renamed.text)
        except Exception:  # noqa: BLE001 - a validator or migration of the user's own may raise anything
            return message

    def commit(self, commit: Commit) -> WorkflowCommit[Any]:
        """Return a commit with its events decoded."""
        return WorkflowCommit(
            position=commit.position,
            id=commit.id,
            workflow_id=commit.workflow_id,
            definition=commit.definition,
            version=commit.version,
            command=commit.command,
            events=self.events(commit.events, commit.model_version),
            state=commit.state,
            model_version=commit.model_version,
            metadata=commit.metadata,
            idempotency_key=commit.idempotency_key,
            recorded_at=commit.recorded_at,
        )
