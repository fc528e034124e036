"""`fleetpulse epochs`: what has become of the topics' logs, and accepting it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from fleetpulse import settings
from fleetpulse.options import user
from streaming.breaks import BREAKS, Inspector, Log, State
from streaming.epochs import Epoch
from streaming.errors import SettingError
from streaming.object_store import open_store
from streaming.sinks.lake import LakeSink
from streaming.sinks.ods import OdsSink

app = typer.Typer(
    help="Topics that were made again, logs that were cut, retention that overtook landing.",
    no_args_is_help=True,
)


@app.command("list")
def list_(
    topic: Annotated[str | None, typer.Option(help="Only this topic.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
) -> None:
    """List the partitions with their epochs, and what has become of their logs.

    Exit code 1 where landing stops until somebody accepts it with `begin`.
    """
    with _open() as world, Console(stderr=True).status("asking Kafka"):
        logs = world.inspector.inspect(world.topics if topic is None else (topic,))
    if as_json:
        for log in logs:
            typer.echo(json.dumps(_plain(log)))
    else:
        _print(logs)
    if any(log.state in BREAKS for log in logs):
        raise typer.Exit(1)


@app.command()
def begin(
    topic: Annotated[str, typer.Argument(help="The topic.")],
    by: Annotated[str | None, typer.Option(help="Who accepts it; default: your user name.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Accept what has become of a topic's logs, and go on in a new epoch.

    What has landed stays as it is, under its epoch. A consumer that runs goes on by itself; start
    one that has stopped.
    """
    console = Console(stderr=True)
    with _open() as world:
        with console.status("bringing the ODS up to the lake"):
            world.inspector.restore(topic)
        with console.status("comparing the logs with what has landed"):
            logs = [
                log for log in world.inspector.inspect((topic,)) if log.state is not State.ENDED
            ]
            if not any(log.state in BREAKS for log in logs):
                raise SettingError(f"nothing has happened to {topic}: there is nothing to accept")
            epoch = world.inspector.next_epoch(logs, datetime.now(UTC), by or user())
        _print_plan(logs, epoch)
        if not yes:
            typer.confirm(f"Begin epoch {epoch.epoch} of {topic}?", abort=True)
        with console.status("beginning the epoch"):
            begun = world.inspector.begin(epoch, logs)
    console.print(
        f"{topic} is in epoch {begun.epoch}: {len(begun.starts)} partitions, by {begun.begun_by}"
    )


@dataclass(frozen=True)
class _World:
    inspector: Inspector
    topics: tuple[str, ...]


@contextmanager
def _open() -> Iterator[_World]:
    tree = settings.load()
    ods = OdsSink(settings.require(tree.ods, "ods").url("consumer"))
    lake = LakeSink(open_store(settings.require(tree.lake, "lake")), tree.landing)
    kafka = settings.require(tree.kafka, "kafka")
    try:
        yield _World(
            Inspector(kafka, ods, lake, tree.landing.flush_max_records), tree.landing.topics
        )
    finally:
        ods.close()


def _plain(log: Log) -> dict[str, Any]:
    return {
        "topic": log.where.topic,
        "partition": log.where.partition,
        "epoch": log.where.epoch,
        "topic_id": log.topic_id,
        "start": log.landed and log.landed.start_offset,
        "next": log.landed and log.landed.next_offset,
        "log_start": log.log and log.log.start,
        "log_end": log.log and log.log.end,
        "state": log.state,
    }


def _print(logs: list[Log]) -> None:
    table = Table()
    for name in ("log", "landed", "in Kafka"):
        table.add_column(name, no_wrap=True)
    table.add_column("state")
    for log in logs:
        table.add_row(str(log.where), *_ranges(log), log.story)
    console = Console()
    console.print(table)
    current = (log for log in logs if log.state is not State.ENDED)
    for topic, topic_id in sorted({(log.where.topic, log.topic_id) for log in current}):
        console.print(f"{topic} has the topic id {topic_id} now", highlight=False)


def _ranges(log: Log) -> tuple[str, str]:
    landed = log.landed and f"{log.landed.start_offset}–{log.landed.next_offset}"
    return landed or "–", "–" if log.log is None else f"{log.log.start}–{log.log.end}"


def _print_plan(logs: list[Log], epoch: Epoch) -> None:
    table = Table("partition", "landed", "in Kafka", "state", f"epoch {epoch.epoch} begins at")
    for log in logs:
        start = epoch.starts.get(log.where.partition)
        begins = "where it is" if start is None else str(start)
        if log.log is None:
            begins = "not there any more"
        table.add_row(str(log.where.partition), *_ranges(log), log.story, begins)
    Console().print(table)
