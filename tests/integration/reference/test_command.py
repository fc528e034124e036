"""`fleetpulse reference load` says what it did, or all that is wrong, to people and to scripts."""

import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from fleetpulse.cli import app
from streaming.reference import WrongFilesError

pytestmark = pytest.mark.usefixtures("connection")

SITES = "site_id,name,timezone,business_hours,gateway"
MAINTENANCE = "scope,subject,mode,from,until,recurrence"
TUESDAY = "site,SITE-1,mute,2026-03-03T02:00:00+01:00,2026-03-03T04:00:00+01:00"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """A site in Berlin with work every Tuesday."""
    (tmp_path / "sites.csv").write_text(f"{SITES}\nSITE-1,Airport,Europe/Berlin,,\n")
    (tmp_path / "maintenance.csv").write_text(
        f"{MAINTENANCE}\n{TUESDAY},FREQ=WEEKLY;BYDAY=TU;UNTIL=20260331\n"
    )
    return [str(tmp_path / "sites.csv"), str(tmp_path / "maintenance.csv")]


def load(environment: dict[str, str], *arguments: str) -> Result:
    return CliRunner().invoke(app, ["reference", "load", *arguments], env=environment)


def test_it_tells_what_changed(
    environment: dict[str, str], files: list[str], connection: psycopg.Connection
) -> None:
    told = load(environment, *files, "--dry-run")
    assert told.exit_code == 0, told.output
    assert "nothing was written" in told.stdout
    assert "sites: SITE-1 added" in load(environment, *files).stdout
    (count,) = connection.execute("select count(*) from reference.maintenance_occurrences")
    assert count == (5,)

    sites = Path(files[0])
    sites.write_text(sites.read_text().replace("Airport", "Harbour"))
    as_of = ("--as-of", "2026-06-01T00:00:00Z")
    done = load(environment, *files, *as_of, "--json")
    change = {
        "thing": "SITE-1",
        "valid_from": "2026-06-01T00:00:00Z",
        "columns": {"name": ["Airport", "Harbour"]},
    }
    assert json.loads(done.stdout) == {
        "maintenance": {"added": [], "changed": [], "ended": [], "unchanged": 1},
        "sites": {"added": [], "changed": [change], "ended": [], "unchanged": 0},
    }


def test_it_tells_all_that_is_wrong(environment: dict[str, str], files: list[str]) -> None:
    work = Path(files[1])
    work.write_text(f"{MAINTENANCE}\n{TUESDAY},FREQ=WEEKLY;BYDAY=WE;UNTIL=20260331\n")
    done = load(environment, *files)
    assert done.exit_code == 1
    assert isinstance(done.exception, WrongFilesError)  # `main` prints it
    (problem,) = done.exception.problems
    assert str(problem).startswith(f"{work}: line 2: column recurrence: ")

    done = load(environment, *files, "--json")
    assert done.exit_code == 1
    (found,) = json.loads(done.stdout)["problems"]
    assert (found["file"], found["line"], found["column"]) == (str(work), 2, "recurrence")
    assert found["words"].endswith("the first is Wednesday 2026-03-04 02:00")
