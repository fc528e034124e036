"""A rule is one .sql and one .yml: Dagster, episodes and tickets follow by themselves."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from fleetpulse.paths import PROJECT_ROOT
from sandbox.postgres import ODS_ROLES
from tests.fixtures.insights.warehouse import Warehouse
from tests.fixtures.insights.worlds.clock import START
from tests.fixtures.insights.worlds.event import event
from tests.oracle.log import MINUTE, TELEMETRY, Device, Record
from ticketing.ledger import Ledger

THIRTEENTH = Path(__file__).parent / "thirteenth_rule"
CODE = ("assets", "dbt_project", "fleetpulse", "orchestration", "streaming", "ticketing")
DEVICE = Device(device_id="VM-1-0", site_id="SITE-1-0", model="M", commissioned_us=0)

SHOW = """
import json
from fleetpulse import dbt
dbt.prepare()
from orchestration.definitions import defs
graph = defs.resolve_asset_graph()
behind = graph.get_ancestor_asset_keys
print(json.dumps({
    spec.key.to_user_string(): {
        "description": spec.description,
        "leads_to": [key.to_user_string() for key in graph.get_all_asset_keys()
                     if spec.key in behind(key)],
    }
    for spec in defs.resolve_all_asset_specs()
}))
"""
"""What `fleetpulse dbt parse` does, and then what Dagster does: in one process."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this one with one more rule, and nothing else changed."""
    checkout = tmp_path_factory.mktemp("checkout")
    for name in CODE:
        shutil.copytree(
            PROJECT_ROOT / name, checkout / name, ignore=shutil.ignore_patterns("target", "logs")
        )
    for path in THIRTEENTH.iterdir():
        shutil.copy(path, checkout / "dbt_project" / "models" / "rules")
    return checkout


@pytest.fixture(scope="module")
def shown(checkout: Path) -> dict[str, Any]:
    """What Dagster shows of it."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SHOW],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.fixture
def production(built: Warehouse, checkout: Path, shown: dict[str, Any]) -> Iterator[Warehouse]:
    """The copy's dbt project, where ticketing reads it."""
    built.empty()
    yield built.of(checkout / "dbt_project").on("prod")
    built.empty()
    built.execute("truncate ticketing.intents cascade")
    with connect("DBT") as dbt:
        made = (
            "select format('%I.%I', schemaname, tablename) from pg_tables where tableowner = user"
        )
        names = ", ".join(name for (name,) in dbt.execute(made))
        dbt.execute(f"truncate {names}".encode())


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with connect("TICKETING") as connection:
        yield Ledger(connection, worker=uuid4(), lease_s=60, create_grace_s=60)


def connect(role: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=os.environ["FLEETPULSE_ODS__HOST"],
        port=os.environ["FLEETPULSE_ODS__PORT"],
        dbname=os.environ["FLEETPULSE_ODS__DATABASE"],
        user=ODS_ROLES[role],
        password=os.environ[f"FLEETPULSE_ODS__PASSWORDS__{role}"],
        autocommit=True,
    )


def sample(minute: int, volts: float) -> Record:
    us = START + minute * MINUTE
    sampled = event(TELEMETRY, DEVICE, us, boot_id="boot", supply_voltage_v=volts)
    return replace(sampled, event_id=f"sample-{minute}", offset=minute - 1)


def test_it_is_an_asset_on_the_way_to_the_incidents(shown: dict[str, Any]) -> None:
    rule = shown["insights/rule_undervoltage"]
    assert rule["description"].startswith("The supply is too low")
    assert {"insights/verdicts", "insights/transitions", "servicenow/incidents"} <= {
        *rule["leads_to"]
    }


def test_what_it_finds_becomes_an_episode_and_intents(
    production: Warehouse, ledger: Ledger
) -> None:
    production.register([DEVICE], {"M": None})
    production.land([sample(1, 230), sample(2, 199.5), sample(3, 200)])
    production.cut({(TELEMETRY, 0): 3}, START + 4 * MINUTE)

    production.dbt("run")
    ledger.claim()

    with connect("DBT") as dbt:
        episodes = "select state, muted from insights.episodes where rule_id = 'undervoltage'"
        assert dbt.execute(episodes).fetchall() == [("resolved", False)]
        intents = (
            "select kind, severity, assignment_group, observed from ticketing.intents"
            " join insights.transitions using (episode_id, transition_no, kind, severity)"
            " where rule_id = 'undervoltage' order by transition_no"
        )
        assert dbt.execute(intents).fetchall() == [
            ("open", 2, "Power", 199.5),
            ("resolve", 2, "Power", 200),
        ]
