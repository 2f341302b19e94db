"""Move some cards, and print the board: `python -m examples.task_board [FILE]`."""

import asyncio
import sys
from uuid import uuid4

from examples.task_board.board import Add, Doing, Done, Finish, SomebodyElsesTask, Start, Task, Todo, router
from statewright import Failure, SQLiteStore, Success, WorkflowExecutor


def told(task: Task) -> str:
    """Say in a line how a task stands."""
    match task.data:
        case Todo(title=title):
            return f"[ ] {title}"
        case Doing(title=title, assignee=assignee):
            return f"[~] {title} ({assignee})"
        case Done(title=title, assignee=assignee):
            return f"[x] {title} ({assignee})"


async def work(tasks: WorkflowExecutor[Task]) -> None:
    """Add two cards, and finish one of them, after somebody else has tried to."""
    bread, tea = f"task-{uuid4()}", f"task-{uuid4()}"
    (await tasks.execute(bread, Add(title="Bake bread"))).unwrap()
    (await tasks.execute(tea, Add(title="Make tea"))).unwrap()
    (await tasks.execute(tea, Start(assignee="Ann"))).unwrap()
    for person in ("Bob", "Ann"):
        match await tasks.execute(tea, Finish(by=person)):
            case Success(workflow=task):
                print(f"{person} finished {task.title!r}")
            case Failure(error=SomebodyElsesTask(assignee=assignee)):
                print(f"{person} may not: {assignee} works on it")
            case Failure(error=error):
                raise error


async def main(path: str) -> None:
    """Work on a board that is kept in a file, and print it."""
    async with SQLiteStore(path) as store:
        tasks = WorkflowExecutor(router, store)
        await work(tasks)
        for state in Task.states:
            print(f"\n{state} ({await store.count(definition=Task.name, state=state)})")
            for stored in await store.find(definition=Task.name, state=state):
                task = await tasks.get(stored.snapshot.id)
                if task is not None:
                    print(f"  {told(task)}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ":memory:"))
