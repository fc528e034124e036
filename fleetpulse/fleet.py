"""`fleetpulse fleet`: the simulated machines."""

import json
import signal
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from fleetpulse import settings
from fleetpulse.options import duration, instant
from fleetpulse.paths import SANDBOX_HOME
from sandbox.fleet import (
    Faults,
    FleetConfig,
    FleetProducer,
    Produced,
    lead_time,
    make_plan,
    records,
    write_files,
)

app = typer.Typer(help="The simulated vending machines.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `run` a subcommand: typer would fold a group of one command into its parent."""


@app.command()
def run(
    devices: Annotated[int, typer.Option(help="How many machines.")] = 200,
    seed: Annotated[int, typer.Option(help="Everything random follows from it.")] = 1,
    history: Annotated[
        str, typer.Option(metavar="DURATION", help="Time that is made up before live time.")
    ] = "2h",
    live: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="Live time; without it, endless."),
    ] = None,
    start: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="INSTANT",
            help="When live time begins; by default as soon as history can be written.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the CSV files and the truth.")
    ] = None,
    faults: Annotated[bool, typer.Option(help="Whether to play faults and look-alikes.")] = True,
    rules: Annotated[
        Faults,
        typer.Option(help="Whose: few: of rules 1 to 3; all: needs 400 machines, 4 h of history."),
    ] = Faults.FEW,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Produce the history, then live, until the time is over or until SIGTERM or Ctrl-C.

    The files are written first, the truth last of them: load the CSV files with
    `fleetpulse reference load`.
    """
    tree = settings.load()
    kafka = settings.require(tree.kafka, "kafka")
    past = duration(history, "--history")
    schedule = rules if faults else None
    config = FleetConfig(
        devices=devices,
        seed=seed,
        start=start or datetime.now(UTC) + lead_time(devices, past, schedule),
        history=past,
        live=None if live is None else duration(live, "--for"),
        faults=schedule,
    )
    plan = make_plan(config)
    folder = out or Path(tree.sandbox.home or SANDBOX_HOME) / "fleet"
    write_files(plan, folder)
    console = Console(stderr=True)
    console.print(f"reference data and truth are in {folder}", soft_wrap=True)

    stop = Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    with Progress(
        *Progress.get_default_columns(),
        TextColumn("{task.fields[sent]:,} records"),
        console=console,
    ) as bars:
        producer = FleetProducer(kafka.client(), stop)
        produced = producer.run(records(plan), _show(bars, config))
    _print(config, produced, as_json)


def _show(bars: Progress, config: FleetConfig) -> Callable[[Produced], None]:
    """Returns what draws the progress: history as a share of its time, live time likewise."""
    begin, start = config.begin_ms / 1_000, config.start_ms / 1_000
    end = None if config.live is None else config.live.total_seconds()
    history = bars.add_task("history", total=start - begin, sent=0)
    live = bars.add_task("live", total=end, sent=0, start=False)

    def show(produced: Produced) -> None:
        reached = produced.reached / 1_000
        if not produced.reached:
            return
        bars.update(history, completed=min(reached, start) - begin, sent=produced.sent)
        if reached >= start:
            bars.start_task(live)
            bars.update(live, completed=reached - start, sent=produced.sent)

    return show


def _print(config: FleetConfig, produced: Produced, as_json: bool) -> None:
    topics: dict[str, dict[int, int]] = defaultdict(dict)
    for (topic, partition), count in sorted(produced.counts.items()):
        topics[topic][partition] = count
    if as_json:
        result = {"start": config.start.isoformat(), "total": produced.total, "topics": topics}
        typer.echo(json.dumps(result))
        return
    table = Table("topic", "partition", "records", title="produced")
    table.columns[2].justify = "right"
    for topic, partitions in topics.items():
        for partition, count in partitions.items():
            table.add_row(topic, str(partition), f"{count:,}")
    table.add_section()
    table.add_row("all", "", f"{produced.total:,}")
    Console().print(table)
