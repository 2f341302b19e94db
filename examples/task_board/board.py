"""A task on a board: three columns, and a rule for each way between them."""

from datetime import datetime, timedelta
from typing import Annotated, TypeAlias

from pydantic import BaseModel, StringConstraints

from statewright import Context, DomainError, Workflow, WorkflowRouter

Name: TypeAlias = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]

# --- states: the columns, each with what a card in it has -----------------------------------------------------------


class Todo(BaseModel):
    """Waits for somebody."""

    title: str


class Doing(BaseModel):
    """Somebody works on it."""

    title: str
    assignee: str
    started_at: datetime


class Done(BaseModel):
    """Finished, by whom and when."""

    title: str
    assignee: str
    finished_at: datetime
    took: timedelta


# --- commands -------------------------------------------------------------------------------------------------------


class Add(BaseModel):
    """Put a card on the board."""

    title: Name


class Rename(BaseModel):
    """Give it a better title."""

    title: Name


class Start(BaseModel):
    """Begin to work on it."""

    assignee: Name


class HandOver(BaseModel):
    """Let somebody else go on with it."""

    assignee: Name


class Finish(BaseModel):
    """Say that it is done; only who works on it may."""

    by: Name


class Reopen(BaseModel):
    """It was not done after all."""


# --- events and refusals --------------------------------------------------------------------------------------------


class TaskStarted(BaseModel):
    """Somebody has begun."""

    assignee: str


class TaskFinished(BaseModel):
    """A card has come to the last column."""

    assignee: str
    took: timedelta


class SomebodyElsesTask(DomainError):
    """Another person works on it."""

    assignee: str


# --- the workflow ---------------------------------------------------------------------------------------------------

State: TypeAlias = Todo | Doing | Done
Command: TypeAlias = Add | Rename | Start | HandOver | Finish | Reopen
Event: TypeAlias = TaskStarted | TaskFinished
Ctx: TypeAlias = Context[Event]


class Task(Workflow[State, Command, Event, SomebodyElsesTask], name="task"):
    """A card on the board."""

    @property
    def title(self) -> str:
        """What is to be done."""
        return self.data.title


router = WorkflowRouter(Task)


@router.on
def add(_: None, command: Add) -> Todo:
    """Begin in the first column."""
    return Todo(title=command.title)


@router.on
def rename(task: Todo | Doing, command: Rename) -> Todo | Doing:
    """Change the title where it stands: a handler's state is its own copy."""
    task.title = command.title
    return task


@router.on
def start(task: Todo, command: Start, ctx: Ctx) -> Doing:
    """Move it to the second column."""
    ctx.emit(TaskStarted(assignee=command.assignee))
    return Doing(title=task.title, assignee=command.assignee, started_at=ctx.now)


@router.on
def hand_over(task: Doing, command: HandOver) -> Doing:
    """Stay in the second column, with somebody else."""
    return Doing(title=task.title, assignee=command.assignee, started_at=task.started_at)


@router.on
def finish(task: Doing, command: Finish, ctx: Ctx) -> Done:
    """Move it to the last column."""
    if command.by != task.assignee:
        raise SomebodyElsesTask(assignee=task.assignee)
    took = ctx.now - task.started_at
    ctx.emit(TaskFinished(assignee=task.assignee, took=took))
    return Done(title=task.title, assignee=task.assignee, finished_at=ctx.now, took=took)


@router.on
def reopen(task: Done, command: Reopen) -> Todo:  # noqa: ARG001 - a handler has the signature it is registered for
    """Move it back to the first column."""
    return Todo(title=task.title)
