"""`make oracle`: random logs, judged by SQL and by the oracle, until they differ or N are done."""

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from tests.fixtures.insights import comparison as rules_comparison
from tests.fixtures.insights import server
from tests.fixtures.insights.warehouse import DbtFailedError, Warehouse
from tests.fixtures.windows import comparison
from tests.oracle.difference import DifferenceError

DIFFERENT = 1
COULD_NOT_TELL = 2

Suite = Callable[[Warehouse, int, int, Callable[[int], None]], int]


def windows(warehouse: Warehouse, n: int, seed: int, told: Callable[[int], None]) -> int:
    """Every window kind, time policy and operator."""
    return comparison.search(comparison.build(warehouse), n, seed, told)


def rules(warehouse: Warehouse, n: int, seed: int, told: Callable[[int], None]) -> int:
    """Every rule, its verdicts and episodes, batch by batch."""
    return rules_comparison.search(rules_comparison.build(warehouse), n, seed, told)


def world(number: int, batches: int | None) -> Suite:
    """Returns the suite of one world of the rules."""

    def of_one(warehouse: Warehouse, n: int, seed: int, told: Callable[[int], None]) -> int:
        tally = rules_comparison.Tally()
        built = rules_comparison.build(warehouse)
        rules_comparison.compare(built, seed, [number], tally, batches)
        told(n)
        return tally.worlds

    return of_one


SUITES: dict[str, Suite] = {"windows": windows, "rules": rules}
"""What is compared, by name. A suite makes N comparisons from a seed and returns how many it made;
it raises DifferenceError with the smallest example."""


def main(
    n: Annotated[int, typer.Option("--n", min=1, help="Random logs for each suite.")] = 5000,
    seed: Annotated[
        int | None, typer.Option(help="The same logs for the same seed; by default a new one.")
    ] = None,
    only: Annotated[
        int | None, typer.Option(min=0, help="Only the rules, and only this world of the seed.")
    ] = None,
    batches: Annotated[
        int | None, typer.Option(min=1, help="With --only: into how many batches its log is cut.")
    ] = None,
) -> None:
    """Compare SQL with the oracle on random logs.

    Exit codes: 0 no difference, 1 a difference (the smallest example is shown), 2 dbt failed.
    """
    seed = random.randrange(2**32) if seed is None else seed
    typer.echo(f"oracle: seed {seed}")
    made = 0
    with tempfile.TemporaryDirectory() as folder:
        typer.echo("starting a Postgres of its own")
        with server.warehouse(Path(folder)) as warehouse:
            suites = SUITES if only is None else {"rules": world(only, batches)}
            n = n if only is None else 1
            for name, suite in suites.items():
                try:
                    made += suite(warehouse, n, seed, _teller(name, n))
                except DifferenceError as difference:
                    typer.echo(f"{difference}\noracle: differs, seed {seed}", err=True)
                    raise typer.Exit(DIFFERENT) from None
                except DbtFailedError as error:
                    typer.echo(f"error: {error}", err=True)
                    raise typer.Exit(COULD_NOT_TELL) from None
    typer.echo(f"oracle: {made} comparisons, 0 differences")


def _teller(name: str, n: int) -> Callable[[int], None]:
    """Returns what says how far a suite has come, ten times or so in all."""
    step = max(1, n // 10)
    told = 0

    def tell(done: int) -> None:
        nonlocal told
        if done - told >= step or done == n:
            told = done
            typer.echo(f"{name}: {done} of {n}")

    return tell


if __name__ == "__main__":
    typer.run(main)
