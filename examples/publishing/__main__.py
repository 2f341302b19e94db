"""Write, judge and publish an article: `python -m examples.publishing`."""

import asyncio

from examples.publishing.article import (
    Approve,
    Command,
    NotAReviewer,
    Publish,
    RequestChanges,
    Retract,
    Revise,
    Submit,
    Text,
    Write,
)
from examples.publishing.office import Office
from statewright import Failure, MemoryStore, Success

DAY: list[tuple[str, Command]] = [
    ("ann", Write(text=Text(title="On tea", body="Tea is good."))),
    ("ann", Submit(reviewers=["bob", "eve"])),
    ("bob", RequestChanges(note="Say why.")),
    ("ann", Revise(text=Text(title="On tea", body="Tea is good, because it is warm."))),
    ("ann", Submit(reviewers=["bob", "eve"])),
    ("max", Approve()),
    ("bob", Approve(note="Much better.")),
    ("eve", Approve()),
    ("ann", Publish()),
]


async def send(office: Office, actor: str, command: Command) -> None:
    """Send a command in somebody's name, and say what came of it."""
    told = f"{actor}: {type(command).__name__}"
    match await office.articles.execute("on-tea", command, metadata={"actor": actor}):
        case Success(workflow=article):
            print(f"{told} -> {article.state}")
        case Failure(error=NotAReviewer(reviewers=reviewers)):
            print(f"{told} is not for {actor} to say, but for {' and '.join(reviewers)}")
        case Failure(error=error):
            raise error


async def main() -> None:
    """Lead an article to the front page, and off it again."""
    office = Office(MemoryStore())
    for actor, command in DAY:
        await send(office, actor, command)
    await office.worker.run_until_idle()
    print(f"front page: {await office.headlines()}")
    await send(office, "ann", Retract(reason="Coffee is better."))
    await office.worker.run_until_idle()
    print(f"front page: {await office.headlines()}")


if __name__ == "__main__":
    asyncio.run(main())
