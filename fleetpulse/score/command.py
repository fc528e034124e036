"""`fleetpulse score`."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from rich.console import Console

from fleetpulse import settings
from fleetpulse.errors import CommandError
from fleetpulse.options import instant
from fleetpulse.score import found
from fleetpulse.score.compare import Score, compare
from fleetpulse.score.show import as_json as plain
from fleetpulse.score.show import problems, tables
from sandbox.fleet.truth import load


def score(
    truth: Annotated[
        Path, typer.Option(help="What is true: the file that `fleetpulse fleet run` writes.")
    ],
    until: Annotated[
        datetime | None,
        typer.Option(
            parser=instant,
            metavar="INSTANT",
            help="Judge what was due by then, e.g. when the machines stopped. "
            "Default: as far as the insights have come.",
        ),
    ] = None,
    least_recall: Annotated[
        float | None,
        typer.Option("--min-recall", min=0, max=1, help="Exit with 1 if a rule's is lower."),
    ] = None,
    least_precision: Annotated[
        float | None,
        typer.Option("--min-precision", min=0, max=1, help="Exit with 1 if a rule's is lower."),
    ] = None,
    kinds: Annotated[bool, typer.Option(help="Also show each kind of fault.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare what was found with what is true: recall, precision, delays, and what was false.

    Exit code 1 if a rule with faults that were due is below what was asked for, or if none was due
    and something was asked for.
    """
    truths = load(truth)
    ods = settings.require(settings.load().ods, "ods")
    with psycopg.connect(ods.url("orchestrator"), autocommit=True) as connection:
        reached = found.watermark(connection)
        if reached is None:
            raise CommandError("no batch is done yet: there is nothing to compare with the truth")
        ended = reached if until is None else min(until, reached)
        result = compare(
            truths, found.episodes(connection), found.incidents(connection), ended, ended
        )
    if as_json:
        typer.echo(json.dumps({"until": ended.isoformat()} | plain(result)))
    else:
        console = Console()
        console.print(tables(result, kinds=kinds))
        for problem in problems(result):
            console.print(problem, style="red", highlight=False, soft_wrap=True)
    if not good_enough(result, least_recall, least_precision):
        raise typer.Exit(1)


def good_enough(result: Score, least_recall: float | None, least_precision: float | None) -> bool:
    """Returns whether each rule reaches what was asked for; nothing judged reaches nothing."""
    if least_recall is None and least_precision is None:
        return True
    if not result.total.due:
        return False
    return all(
        _reaches(share.recall, least_recall) and _reaches(share.precision, least_precision)
        for share in result.rules.values()
    )


def _reaches(value: float | None, least: float | None) -> bool:
    # A rule of which nothing was due, or that has found nothing, has no such value.
    return value is None or least is None or value >= least
