"""The past judged again is what the oracle says of it, and nothing else changes."""

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from orchestration.resources import Backfills, Differences, Wanted
from orchestration.resources.dbt import invoke, where_arguments
from sandbox.postgres import ODS_ROLES
from streaming.object_store import FileStore
from streaming.settings import LakeSettings, OdsPasswords, OdsSettings
from tests.fixtures.insights import lake
from tests.fixtures.insights.comparison import EPISODES, VERDICTS, Row, Tally, expected_of
from tests.fixtures.insights.warehouse import Warehouse, at
from tests.fixtures.insights.worlds.clock import END, START
from tests.fixtures.insights.worlds.cuts import random_cuts, random_redrives
from tests.fixtures.insights.worlds.worlds import Worlds, random_worlds
from tests.oracle.log import MINUTE
from tests.oracle.rules import RULES

SEED = 4
WORLDS = 30
MIDDLE = END - 31 * MINUTE
TOO_WARM_C = 1.5
"""So much lower were the limits by which production has judged."""

Key = tuple[object, ...]


class KilledError(Exception):
    """The process was ended from outside."""


class Platform:
    """What production has judged, by wrong limits, and some of what it has found was lost."""

    def __init__(self, warehouse: Warehouse, dbt: psycopg.Connection[Any], folder: Path) -> None:
        self.warehouse = warehouse
        self.dbt = dbt
        self.folder = folder
        worlds = random_worlds(SEED, range(WORLDS), late=True)
        self.worlds = Worlds(
            {number: lake.sendable(world) for number, world in worlds.each.items()},
            lake.sendable(worlds.together),
        )
        self.backfills = Backfills(ods_settings(), LakeSettings(url=f"file://{folder}/lake"))

    def judge(self) -> None:
        """Judges the log batch by batch, as its consumer and its sensor would have."""
        world = self.worlds.together
        wrong = {
            model: None if limit is None else limit - TOO_WARM_C
            for model, limit in world.limits_c.items()
        }
        house = self.warehouse
        house.register(world.devices, wrong, world.work, world.zones, world.later_limits)
        house.land(world.records, random_redrives(SEED, self.worlds))
        for where, end in lake.fill(FileStore(self.folder / "lake"), world).items():
            house.connection.execute(
                'insert into landing.offsets (topic, epoch, "partition", topic_id, start_offset,'
                " next_offset, lake_next) values (%s, %s, %s, 'id', 0, %s, %s)",
                [*where, end, end],
            )
        for cut in random_cuts(Random(SEED), self.worlds, 2, late=True):
            house.cut(cut.ends, cut.watermark_us, cut.redrive)
            self._build("--selector", "insights_batch")
        self._build("--select", "findings", "episodes")
        for model, limit in world.limits_c.items():
            house.connection.execute(
                "update reference.model_limits set max_cabinet_c = %s"
                " where model = %s and max_cabinet_c = %s",
                [limit, model, wrong[model]],
            )

    def _build(self, *models: str) -> None:
        silent = ("--quiet", "--log-level", "none")
        where = where_arguments("prod", self.folder / "dbt")
        problem, _ = invoke(["run", *models, *silent, *where])
        assert problem is None

    def lose(self) -> None:
        """Takes some of what was found away, and falsifies some."""
        self.dbt.execute(
            "delete from insights.verdicts where rule_id = 'door_left_open' and verdict = 'breach';"
            " update insights.verdicts set observed = observed + 1"
            " where rule_id = 'error_burst' and verdict = 'breach'"
        )

    def found(self) -> set[Row]:
        """Returns verdicts and episodes as readers see them."""
        return {*self._rows(VERDICTS.replace("ci_", "")), *self._rows(EPISODES.replace("ci_", ""))}

    def contents(self) -> dict[str, list[tuple[str]]]:
        """Returns all rows that a backfill could touch."""
        tables = ("insights.verdicts", "insights.episode_versions", "insights.transitions")
        return {
            name: self._rows(f"select t::text from {name} t order by 1")
            for name in (*tables, "control.batches")
        }

    def schemas(self) -> list[str]:
        """Returns the schemas of backfills."""
        rows = self._rows(
            "select nspname from pg_namespace where starts_with(nspname, 'backfill_')"
        )
        return [name for (name,) in rows]

    def _rows(self, query: str) -> list[Any]:
        return self.dbt.execute(query.encode()).fetchall()

    def run(
        self, since_us: int, until_us: int, *, apply: bool = False, tell: Any = None
    ) -> Differences:
        """Judges a range again."""
        wanted = Wanted(at(since_us), at(until_us), "test", apply=apply)
        return self.backfills.run(wanted, tell or (lambda words: None))


@pytest.fixture(scope="module")
def platform(
    built: Warehouse, dbt_manifest: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Platform]:
    built.empty()
    with connect("DBT") as dbt:
        platform = Platform(built, dbt, tmp_path_factory.mktemp("backfill"))
        platform.judge()
        yield platform
        built.empty()
        built.execute("truncate ticketing.intents cascade")
        made = (
            "select format('%I.%I', schemaname, tablename) from pg_tables where tableowner = user"
        )
        names = ", ".join(name for (name,) in dbt.execute(made))
        dbt.execute(f"truncate {names}".encode())


def connect(role: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        host=os.environ["FLEETPULSE_ODS__HOST"],
        port=os.environ["FLEETPULSE_ODS__PORT"],
        dbname=os.environ["FLEETPULSE_ODS__DATABASE"],
        user=ODS_ROLES[role],
        password=os.environ[f"FLEETPULSE_ODS__PASSWORDS__{role}"],
        autocommit=True,
    )


def ods_settings() -> OdsSettings:
    passwords = {
        role.lower(): SecretStr(os.environ[f"FLEETPULSE_ODS__PASSWORDS__{role}"])
        for role in ODS_ROLES
    }
    return OdsSettings(
        host=os.environ["FLEETPULSE_ODS__HOST"],
        port=int(os.environ["FLEETPULSE_ODS__PORT"]),
        database=os.environ["FLEETPULSE_ODS__DATABASE"],
        passwords=OdsPasswords(**passwords),
    )


def expected(platform: Platform) -> set[Row]:
    """What the oracle says of every world."""
    return {
        row for world in platform.worlds.each.values() for row in expected_of(world, RULES, Tally())
    }


def breaches(rows: set[Row], since_us: int, until_us: int) -> dict[Key, Key]:
    """Returns the findings of a range: what was observed, and the threshold, by identity."""
    return {
        (rule, subject, us): measured
        for rule, subject, what, us, *measured in rows
        if what == "breach" and since_us < us <= until_us  # type: ignore[operator]
    }


def told(result: Differences) -> dict[Key, str]:
    """Returns how each finding differs."""
    return {
        (each.rule_id, each.subject, us_of(each.window_end)): each.change
        for each in result.findings
    }


def us_of(moment: datetime) -> int:
    return (moment - at(0)) // timedelta(microseconds=1)


def without_clears(rows: set[Row]) -> set[Row]:
    return {row for row in rows if row[2] != "clear"}


def test_the_past_judged_again_is_as_the_oracle_says(platform: Platform) -> None:
    platform.lose()
    before, right = platform.found(), expected(platform)
    rows = platform.contents()

    def killed(words: str) -> None:
        if words.startswith("folding"):
            raise KilledError

    with pytest.raises(KilledError):
        platform.run(START, END, apply=True, tell=killed)
    assert platform.contents() == rows
    assert platform.schemas() == []

    result = platform.run(START, MIDDLE, apply=True)

    was, now = breaches(before, START, MIDDLE), breaches(right, START, MIDDLE)
    assert told(result) == {
        key: "added" if key not in was else "gone" if key not in now else "changed"
        for key in was.keys() | now.keys()
        if was.get(key) != now.get(key)
    }
    assert {*told(result).values()} == {"added", "gone", "changed"}
    assert result.batch_id == 3
    assert platform.schemas() == []

    platform.run(MIDDLE, END, apply=True)

    after = platform.found()
    assert without_clears(after) == without_clears(right)
    assert after <= right
    assert platform.run(START, END, apply=True).findings == []
    assert platform.found() == after
