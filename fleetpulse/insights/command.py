"""`fleetpulse insights backfill`."""

import json
from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fleetpulse import settings
from fleetpulse.insights.show import as_json as plain
from fleetpulse.insights.show import summary
from fleetpulse.options import instant, user

PIPED_WIDTH = 150
"""Of tables that nobody looks at in a terminal: nothing is cut off."""

app = typer.Typer(help="What is found in events.", no_args_is_help=True)


@app.callback()
def insights() -> None:
    """What is found in events."""


@app.command()
def backfill(
    since: Annotated[
        datetime,
        typer.Option(
            "--from",
            parser=instant,
            metavar="INSTANT",
            help="Judge windows again that end after this moment,",
        ),
    ],
    until: Annotated[
        datetime,
        typer.Option("--to", parser=instant, metavar="INSTANT", help="and up to this one."),
    ],
    rules: Annotated[
        list[str] | None,
        typer.Option("--rule", help="Only by this rule; may be given again. Default: all."),
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Merge what differs, as revisions.")
    ] = False,
    tickets: Annotated[
        bool,
        typer.Option("--tickets", help="With --apply: let incidents open and resolve by it."),
    ] = False,
    by: Annotated[str | None, typer.Option(help="Who does it; default: your user name.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Judge the past again from the lake, and tell what would differ from what had been found.

    By the rules of this checkout, with reference data as they stood. Nothing changes without
    --apply; killed, it leaves nothing behind that hurts, and may be called again.
    """
    if tickets and not apply:
        raise typer.BadParameter(
            "there is nothing to ticket without --apply", param_hint="--tickets"
        )
    # Only who judges again waits for Dagster: 1 s.
    from orchestration.resources import Backfills, Wanted

    tree = settings.load()
    ods, lake = settings.require(tree.ods, "ods"), settings.require(tree.lake, "lake")
    wanted = Wanted(since, until, by or user(), rules or (), apply, tickets)
    console = Console(stderr=True)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("looking at what has been judged", total=None)

        def tell(words: str) -> None:
            if console.is_terminal:
                progress.update(task, description=words)
            else:
                console.print(words, highlight=False, soft_wrap=True)

        found = Backfills(ods, lake).run(wanted, tell)
    if as_json:
        typer.echo(json.dumps(plain(found)))
    else:
        output = Console(highlight=False)
        wide = max(output.width, PIPED_WIDTH)
        for each in summary(found, apply=apply):
            output.print(each, width=output.width if output.is_terminal else wide)
