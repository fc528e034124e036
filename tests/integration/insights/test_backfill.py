"""The past judged again is what the oracle says of it, and nothing else changes."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from pydantic import SecretStr

from orchestration.resources import Backfills, Differences, Wanted
from orchestration.resources.dbt import invoke, where_arguments
from sandbox.postgres import ODS_ROLES
from streaming import batches
from streaming.backfill import chunks, differences, schema
from streaming.backfill.base import Base
from streaming.errors import BackfillError
from streaming.object_store import FileStore
from streaming.settings import LakeSettings, OdsPasswords, OdsSettings
from tests.fixtures.insights import lake
from tests.fixtures.insights.comparison import EPISODES, VERDICTS, Row, Tally, expected_of
from tests.fixtures.insights.warehouse import Warehouse, at
from tests.fixtures.insights.worlds.clock import END, START
from tests.fixtures.insights.worlds.cuts import Cut, random_cuts, random_redrives
from tests.fixtures.insights.worlds.worlds import Worlds, random_worlds
from tests.oracle.episodes import fold, managed
from tests.oracle.log import MINUTE
from tests.oracle.rules import RULES
from ticketing.ledger import Ledger

SEED = 1
WORLDS = 20
MIDDLE = END - 31 * MINUTE
TOO_WARM_C = 2.75
"""So much lower were the limits by which production has judged: none of them is a later one."""

OF_SHORT_REACH = (
    *("cabinet_over_temperature", "cashless_down", "door_left_open", "error_burst"),
    *("heartbeat_missing", "rapid_warming", "site_outage", "supply_voltage_anomaly"),
)
"""For them the lake is read from twelve minutes before the range: what was before is copied."""

Key = tuple[object, ...]
Contents = dict[str, list[tuple[str]]]


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
        redrives = random_redrives(SEED, self.worlds)
        house.land(world.records, redrives)
        ends = lake.fill(FileStore(self.folder / "lake"), world, redrives)
        for where, end in ends.items():
            house.connection.execute(
                'insert into landing.offsets (topic, epoch, "partition", topic_id, start_offset,'
                " next_offset, lake_next) values (%s, %s, %s, 'id', 0, %s, %s)",
                [*where, end, end],
            )
        for cut in self.cuts():
            house.cut(cut.ends, cut.watermark_us, cut.redrive)
            self.build("--selector", "insights_batch")
        self.build("--select", "findings", "episodes")
        for model, limit in world.limits_c.items():
            house.connection.execute(
                "update reference.model_limits set max_cabinet_c = %s"
                " where model = %s and max_cabinet_c = %s",
                [limit, model, wrong[model]],
            )

    def cuts(self) -> list[Cut]:
        """Returns the batches."""
        return random_cuts(Random(SEED), self.worlds, 2, late=True)

    def build(self, *models: str) -> None:
        """Runs models of production."""
        silent = ("--quiet", "--log-level", "none")
        where = where_arguments("prod", self.folder / "dbt")
        problem, _ = invoke(["run", *models, *silent, *where])
        assert problem is None

    def lose(self) -> None:
        """Takes some of what was found away, and falsifies some."""
        self.dbt.execute(
            "delete from insights.verdicts where rule_id = 'door_left_open';"
            " delete from insights.episode_versions where rule_id = 'door_left_open';"
            " delete from insights.transitions where rule_id = 'door_left_open';"
            " update insights.verdicts set observed = observed + 1"
            " where rule_id = 'error_burst' and verdict = 'breach'"
        )

    def found(self) -> set[Row]:
        """Returns verdicts and episodes as readers see them."""
        rows = [*self.rows(VERDICTS.replace("ci_", "")), *self.rows(EPISODES.replace("ci_", ""))]
        return {row for row in rows if since_start(row)}

    @cached_property
    def right(self) -> set[Row]:
        """Returns what the oracle says of every world, after its first instant."""
        return {
            row
            for world in self.worlds.each.values()
            for row in expected_of(world, RULES, Tally())
            if since_start(row)
        }

    def causes(self, where: str) -> set[str]:
        """Returns the causes of transitions."""
        return {
            cause for (cause,) in self.rows(f"select cause from insights.transitions where {where}")
        }

    def intents_by_cause(self) -> dict[str, int]:
        """Returns how many intents there are by the cause of their transition."""
        return dict(
            self.rows(
                "select cause, count(*) from ticketing.intents"
                " join insights.transitions using (episode_id, transition_no) group by 1"
            )
        )

    def leave_a_schema(self) -> str:
        """Leaves what a backfill leaves that is killed; returns the schema."""
        with connect("ORCHESTRATOR") as connection:
            [(number,)] = connection.execute(
                "select control.begin_backfill('2026-01-01Z', '2026-01-02Z', '{reboot_loop}', 'me')"
            )
        return f"backfill_{number}"

    def contents(self) -> Contents:
        """Returns all rows that a backfill could touch."""
        tables = ("insights.verdicts", "insights.episode_versions", "insights.transitions")
        return {
            name: self.rows(f"select t::text from {name} t order by 1")
            for name in (*tables, "control.batches")
        }

    def schemas(self) -> list[str]:
        """Returns the schemas of backfills."""
        rows = self.rows("select nspname from pg_namespace where starts_with(nspname, 'backfill_')")
        return [name for (name,) in rows]

    def rows(self, query: str) -> list[Any]:
        return self.dbt.execute(query.encode()).fetchall()

    def run(
        self,
        since_us: int,
        until_us: int,
        *,
        apply: bool = False,
        rules: Sequence[str] = (),
        tell: Any = None,
    ) -> Differences:
        """Judges a range again."""
        wanted = Wanted(at(since_us), at(until_us), "test", rules, apply=apply)
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


def since_start(row: Row) -> bool:
    """Whether a row is not of the first instant: no range begins before it."""
    return isinstance(row[3], int) and row[3] > START


def breaches(rows: set[Row], since_us: int, until_us: int) -> dict[Key, Key]:
    """Returns the findings of a range: what was observed, and the threshold, by identity."""
    return {
        (rule, subject, us): tuple(measured)
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


def that_matter(rows: set[Row]) -> set[Row]:
    return {row for row in rows if row[2] not in ("clear", "hold")}


def spans(result: Differences) -> set[Row]:
    """Returns the episodes that would be there: rule, subject, opening and resolution."""
    return {
        (
            each.rule_id,
            each.subject,
            us_of(each.opened_at),
            each.resolved_at and us_of(each.resolved_at),
        )
        for each in result.episodes
        if each.opened_at is not None
    }


def episodes_in(rows: set[Row]) -> set[Any]:
    """Returns the episodes: rule, subject, opening and resolution."""
    return {(*row[:2], *row[3:5]) for row in rows if row[2] == "episode"}


@dataclass(frozen=True)
class Story:
    """What has happened, one thing after another."""

    before: set[Row]
    rows_before: Contents
    rows_when_killed: Contents
    first: Differences
    after_first: set[Row]
    left: list[str]
    after: set[Row]
    again: Differences
    rows_at_last: Contents


@pytest.fixture(scope="module")
def story(platform: Platform) -> Story:
    """One that was killed before its merge; a part; the rest, killed in its merge; all again."""
    platform.lose()
    before, rows_before = platform.found(), platform.contents()
    platform.leave_a_schema()
    with pytest.raises(KilledError):
        platform.run(START, END, apply=True, tell=killed_when_merging)
    rows_when_killed = platform.contents()
    first = platform.run(START, MIDDLE, apply=True)
    after_first = platform.found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "cut_for_backfill", killed_when_cut(batches.cut_for_backfill))
        with pytest.raises(KilledError):
            platform.run(MIDDLE, END, apply=True, rules=OF_SHORT_REACH)
    left = platform.schemas()
    platform.build("--selector", "insights_batch")
    after, rows = platform.found(), platform.contents()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "MOST_RECORDS", 1)  # hour by hour, from many places of the lake
        patch.setattr(chunks, "NEAR", 30)
        again = platform.run(START, END, apply=True)
    assert platform.contents() == rows
    return Story(
        *(before, rows_before, rows_when_killed, first, after_first),
        *(left, after, again, platform.contents()),
    )


def killed_when_merging(words: str) -> None:
    if words == "merging":
        raise KilledError


def killed_when_cut(cut: Callable[..., object]) -> Callable[..., None]:
    def killed(*arguments: object, **options: object) -> None:
        assert cut(*arguments, **options) is not None
        raise KilledError

    return killed


def test_it_tells_exactly_the_findings_that_differ_from_the_oracles(
    platform: Platform, story: Story
) -> None:
    was, now = breaches(story.before, START, MIDDLE), breaches(platform.right, START, MIDDLE)
    assert told(story.first) == {
        key: "added" if key not in was else "gone" if key not in now else "changed"
        for key in was.keys() | now.keys()
        if was.get(key) != now.get(key)
    }
    assert {*told(story.first).values()} == {"added", "gone", "changed"}


def test_the_episodes_that_it_tells_of_are_those_that_follow(story: Story) -> None:
    assert spans(story.first) <= episodes_in(story.after_first)
    assert {each.change for each in story.first.episodes} == {"added", "gone", "changed"}


def test_what_it_opens_is_over_by_the_clears_after_its_range(
    platform: Platform, story: Story
) -> None:
    # Of this rule nothing was left: production has no clear after the range by itself.
    rule = RULES["door_left_open"]
    expected = {
        ("door_left_open", name, episode.opened_us, episode.resolved_us)
        for world in platform.worlds.each.values()
        for name, device in rule.subjects(world).items()
        for episode in fold(
            [
                each
                for each in managed(world, device, rule.judge(world, device))
                if each.verdict != "breach" or each.window_end_us <= MIDDLE
            ],
            rule.clear_windows,
        )
    }
    assert {row for row in episodes_in(story.after_first) if row[0] == "door_left_open"} == expected
    assert any(resolved > MIDDLE for *_, resolved in expected if resolved)


def test_merged_all_is_as_the_oracle_says(platform: Platform, story: Story) -> None:
    right = platform.right
    assert that_matter(story.after) == that_matter(right)
    assert story.after <= right  # of clears and holds those are kept that can matter


def test_the_same_again_finds_and_changes_nothing(story: Story) -> None:
    assert (story.again.findings, story.again.others, story.again.episodes) == ([], 0, [])
    assert story.again.batch_id is None


def test_killed_before_its_merge_it_has_changed_nothing(story: Story) -> None:
    assert story.rows_when_killed == story.rows_before


def test_killed_in_its_merge_it_leaves_what_the_next_attempt_at_the_batch_needs(
    story: Story,
) -> None:
    assert len(story.left) == 1


def test_nothing_is_left_of_any(platform: Platform, story: Story) -> None:
    assert platform.schemas() == []


def test_its_transitions_name_it_and_ticketing_learns_of_none(
    platform: Platform, story: Story
) -> None:
    with connect("TICKETING") as connection:
        Ledger(connection, worker=uuid4(), lease_s=60, create_grace_s=60).claim()

    assert platform.causes("batch_id > 2") == {"backfill"}
    assert "backfill" not in platform.causes("batch_id <= 2")
    assert platform.intents_by_cause().keys() == platform.causes("batch_id <= 2")


def test_what_late_events_have_touched_since_is_left_out(platform: Platform, story: Story) -> None:
    name = platform.leave_a_schema()
    platform.dbt.execute(f"create table {name}.revisions as select * from insights.verdicts")
    platform.dbt.execute(f"update {name}.revisions set revision = revision + 1")
    world = platform.worlds.together
    first, _ = platform.cuts()
    sites = {device.device_id: device.site_id for device in world.devices}
    late = {
        record.device_id
        for record in world.records
        if record.offset >= first.ends[record.topic, record.partition]
        and min(record.us, record.beat_us) <= END
        and not record.tombstone
    }
    known = Base(1, at(first.watermark_us), 0, at(START))

    left_out = differences.leave_out_stale(platform.dbt, name, known)

    left = {
        subject for (subject,) in platform.rows(f"select distinct subject from {name}.revisions")
    }
    judged = {
        subject for (subject,) in platform.rows("select distinct subject from insights.verdicts")
    }
    assert left_out > 0
    assert left == judged - late - {sites[each] for each in late if each in sites}


def test_production_may_replace_its_views_meanwhile(platform: Platform, story: Story) -> None:
    name = platform.leave_a_schema()
    known = Base(2, at(END), 0, at(START))
    clears = {"door_left_open": 1}

    schema.prepare(
        platform.dbt,
        name,
        known,
        at(START),
        at(START),
        at(END),
        clears,
        as_it_stood=[],
        left_out=["rule_reboot_loop"],
    )

    with platform.dbt.transaction(force_rollback=True):
        platform.dbt.execute("drop view insights.rule_reboot_loop cascade")
        assert platform.rows(f"select * from {name}.rule_reboot_loop") == []


@pytest.mark.parametrize(
    ("since_us", "until_us", "words"),
    [
        (START, START, "give a later --to"),
        (START, END + 1, "is not judged yet"),
        (START - 1, END, "give a later --from"),
    ],
)
def test_a_range_that_cannot_be_judged_is_refused(
    platform: Platform, since_us: int, until_us: int, words: str
) -> None:
    with pytest.raises(BackfillError, match=words):
        platform.run(since_us, until_us)
    assert platform.schemas() == []


def test_an_unknown_rule_is_refused_with_the_known_ones(platform: Platform) -> None:
    wanted = Wanted(at(START), at(END), "test", rules=["eror_burst"])
    with pytest.raises(BackfillError, match=r"no rule eror_burst; there are .*error_burst"):
        platform.backfills.run(wanted, lambda words: None)
