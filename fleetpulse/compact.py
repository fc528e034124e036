"""`fleetpulse compact`: the lake's small files become large ones."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from fleetpulse import settings
from fleetpulse.options import Topics, instant
from streaming import compaction
from streaming.compaction import Outcome
from streaming.lake_manifest import Hour
from streaming.object_store import open_store


def compact(
    topic: Topics = None,
    hour: Annotated[
        str | None, typer.Option(metavar="INSTANT", help="This hour, closed or not.")
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(metavar="INSTANT", help="Only hours that were closed by then; else by now."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, one object for each hour.")
    ] = False,
) -> None:
    """Merge the lake's small files, hour by hour, and delete what was replaced a while ago.

    Whoever reads as `fleetpulse lake files` says finds each record once, before, while and after
    it. It may be killed and repeated, and run beside others.
    """
    if hour and before:
        raise typer.BadParameter("give --hour or --before, not both")
    tree = settings.load()
    store = open_store(settings.require(tree.lake, "lake"))
    topics = tuple(topic or tree.landing.topics)
    if hour:
        begins = instant(hour).replace(minute=0, second=0, microsecond=0)
        hours = [Hour(each, begins) for each in topics]
    else:
        now = instant(before) if before else datetime.now(UTC)
        hours = compaction.due(store, topics, tree.compaction, now)
    done: list[Outcome] = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for each in progress.track(hours, description="compacting hours"):
            done.append(compaction.compact(store, each, tree.compaction))
            if as_json:
                typer.echo(json.dumps(_plain(done[-1])))
    if not as_json:
        _print([each for each in done if each.merged or each.deleted])


def _print(done: list[Outcome]) -> None:
    console = Console()
    if not done:
        console.print("nothing to compact")
        return
    table = Table("topic", "hour (UTC)")
    for name in ("merged", "into", "rows", "MB before", "MB after", "deleted"):
        table.add_column(name, justify="right")
    for each in done:
        table.add_row(
            each.hour.topic,
            f"{each.hour.begins:%Y-%m-%d %H:%M}",
            *(str(count) for count in (each.merged, each.made, each.rows)),
            *(f"{size / 1_000_000:.1f}" for size in (each.bytes_before, each.bytes_after)),
            str(each.deleted),
        )
    console.print(table)


def _plain(each: Outcome) -> dict[str, str | int]:
    return {
        "topic": each.hour.topic,
        "hour": each.hour.begins.isoformat(),
        "merged": each.merged,
        "made": each.made,
        "rows": each.rows,
        "bytes_before": each.bytes_before,
        "bytes_after": each.bytes_after,
        "deleted": each.deleted,
    }
