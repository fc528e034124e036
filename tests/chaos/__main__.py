"""`make chaos`: rounds of faults from a seed. Exit code 1 if a record is not once in each sink."""

import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from fleetpulse.paths import SANDBOX_HOME
from fleetpulse.sandbox import start
from sandbox.credentials import Credentials
from sandbox.ports import Ports
from sandbox.postgres import ODS_DATABASE, Postgres
from sandbox.sandbox import Sandbox
from tests.chaos import plan
from tests.chaos.faults import OF_CONSUMERS, OF_SYSTEMS
from tests.chaos.history import NONE
from tests.chaos.round import Outcome, play

FOLDER = SANDBOX_HOME / "chaos"

console = Console(highlight=False, soft_wrap=True)


def main(
    seed: Annotated[int | None, typer.Option(help="Decides all; drawn if not given.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How many rounds.")] = 5,
    only: Annotated[int | None, typer.Option(min=1, help="Play this round alone.")] = None,
) -> None:
    """Torment three landing consumers and their systems, and compare histories after each round."""
    seed = random.randrange(10_000) if seed is None else seed
    planned = plan.rounds(seed, max(rounds, only or 0), [*OF_CONSUMERS], [*OF_SYSTEMS])
    if only is not None:
        planned = [planned[only - 1]]
    console.print(f"seed {seed}, {len(planned)} rounds")
    home = FOLDER / "sandbox"
    began = time.monotonic()
    try:
        good = _play(seed, planned, home)
    finally:
        Sandbox(home).reset()
    console.print(f"{time.monotonic() - began:.0f} s")
    if not good:
        raise typer.Exit(1)
    console.print(str(NONE))


def _play(seed: int, planned: list[plan.Round], home: Path) -> bool:
    fired: Counter[str] = Counter()
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task("starting the sandbox")
        environment = start(home)
        postgres = Postgres(
            home, Ports(home / "ports.json"), Credentials(home / "credentials.json")
        )
        for each in planned:
            progress.update(task, description=f"round {each.number}: {', '.join(each.faults)}")
            folder = FOLDER / f"seed-{seed}-round-{each.number}"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            database = f"round_{each.number}"
            postgres.copy_database(ODS_DATABASE, database)
            own = {**environment, "FLEETPULSE_ODS__DATABASE": database}
            outcome = play(each, home, own, postgres, folder)
            fired += outcome.fired
            _tell(each, outcome)
            if not outcome.good:
                console.print(
                    f"{outcome.problem}\nkept in {folder}; once more: "
                    f"make chaos SEED={seed} ONLY={each.number}"
                )
                console.print(str(outcome.verdict))
                return False
            shutil.rmtree(folder)
    return _all_fired(planned, fired)


def _tell(each: plan.Round, outcome: Outcome) -> None:
    told = [f"{fault} ×{outcome.fired[fault]}" for fault in each.faults]
    console.print(
        f"round {each.number:>2}  {each.protocol:<8}  {outcome.records:>5} records"
        f"  {outcome.seconds:>4.0f} s  {outcome.verdict}  {'; '.join(told)}"
    )


def _all_fired(planned: list[plan.Round], fired: Counter[str]) -> bool:
    """Shows how often each fault was planned and befell; returns whether all planned ones did."""
    wanted = Counter(fault for each in planned for fault in each.faults)
    table = Table("fault", "planned", "befell", box=None)
    for fault in (*OF_CONSUMERS, *OF_SYSTEMS):
        table.add_row(fault, str(wanted[fault]), str(fired[fault]))
    console.print(table)
    missing = [fault for fault in wanted if not fired[fault]]
    if missing:
        console.print(f"planned, and never befell: {', '.join(missing)}")
    return not missing


if __name__ == "__main__":
    typer.run(main)
