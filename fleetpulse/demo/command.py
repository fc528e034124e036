"""`fleetpulse demo`."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleetpulse.demo.play import CHAOS_ENDS_S, Interrupt, Options, Play, random_seed
from fleetpulse.demo.screen import Screen
from fleetpulse.demo.stage import Stage
from fleetpulse.options import duration
from sandbox.fleet import MIN_DEVICES, Faults

LEAST_CHAOS_S = 60
DEVICES = {Faults.FEW: 200, Faults.ALL: 400}


class Victim(StrEnum):
    """What `--chaos` kills."""

    CONSUMER = "consumer"


def demo(
    devices: Annotated[
        int | None,
        typer.Option(
            min=MIN_DEVICES[Faults.FEW],
            max=5_000,
            help="How many machines. Default: 200; of all rules 400, which they need.",
        ),
    ] = None,
    rules: Annotated[
        Faults,
        typer.Option(
            help="Whose faults happen: few: of rules 1 to 3, first incident within a minute or "
            "two; all: of every rule, with at least ten look-alikes each; begins a minute later."
        ),
    ] = Faults.FEW,
    seed: Annotated[
        int | None, typer.Option(help="Everything random follows from it; drawn if not given.")
    ] = None,
    live: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="Live time; without it, until Ctrl-C."),
    ] = None,
    headless: Annotated[bool, typer.Option(help="Write lines, draw nothing.")] = False,
    chaos: Annotated[
        Victim | None, typer.Option(help="Kill it three times, and see that nothing is lost.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was measured as JSON.")
    ] = None,
) -> None:
    """Run everything on this machine: simulated machines, Kafka, ODS, lake, Dagster, ServiceNow.

    Begins with an empty state of its own in .fleetpulse/demo and leaves nothing running. Exit code
    1 if something was lost, doubled, missed or found without reason, or if a run failed; after
    Ctrl-C 0.
    """
    machines = DEVICES[rules] if devices is None else devices
    if machines < MIN_DEVICES[rules]:
        raise typer.BadParameter(
            f"the faults of {rules} rules need {MIN_DEVICES[rules]} machines",
            param_hint="--devices",
        )
    options = Options(
        devices=machines,
        faults=rules,
        seed=random_seed() if seed is None else seed,
        live=None if live is None else duration(live, "--for"),
        chaos=chaos is not None,
    )
    if options.chaos and options.live and options.live.total_seconds() < LEAST_CHAOS_S:
        raise typer.BadParameter(
            f"three kills need --for {LEAST_CHAOS_S} or more (none in the last {CHAOS_ENDS_S} s)",
            param_hint="--for",
        )
    if report is not None and not report.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {report.parent}", param_hint="--report")
    console = Console()
    screen, stage, interrupt = Screen(console, headless=headless), Stage(), Interrupt()
    with stage.alone():
        try:
            screen.say(f"seed {options.seed}; everything is in {stage.home}")
            stage.set_up(screen.step)
            result = Play(options, stage, screen, interrupt).run()
        except KeyboardInterrupt:
            screen.say("left before the end: no summary")
            return
        finally:
            interrupt.be_deaf()
            screen.say("taking everything down")
            stage.take_down(screen.step)
    if report is not None:
        report.write_text(json.dumps(result.as_json(), indent=2) + "\n", encoding="utf-8")
    result.print(console)
    if result.problems() and not interrupt.asked.is_set():
        raise typer.Exit(1)
