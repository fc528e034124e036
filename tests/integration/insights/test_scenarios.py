"""A day on which a site goes dark, a machine fills its spool, and one never comes."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.fixtures.insights.warehouse import Warehouse
from tests.fixtures.insights.worlds.clock import LATENESS, START
from tests.oracle.log import DAY, HEARTBEAT, MINUTE, SECOND, TELEMETRY, Device, Record

DARK = [f"DARK-{number}" for number in range(1, 6)]
REST = ["SPOOL", *(f"REST-{number}" for number in range(1, 9)), "NEVER"]
SITES = dict.fromkeys(DARK, "SITE-DARK") | dict.fromkeys(REST, "SITE-REST")
CUTS = (36, 41, 71, 376)

Told = dict[tuple[str, str], list[tuple[str, str, float]]]


@pytest.fixture(scope="module")
def day(built: Warehouse) -> Warehouse:
    """The day, told in four batches, the last one after the spool has been emptied."""
    built.empty()
    built.register(
        [
            Device(device_id=name, site_id=site, model="COLD", commissioned_us=START - DAY)
            for name, site in SITES.items()
        ],
        {"COLD": 8.0},
    )
    records = numbered([*beats(), *samples()])
    built.land(records)
    for minute in CUTS:
        now = START + minute * MINUTE
        ends = {
            (topic, 0): sum(each.topic == topic and each.kafka_us <= now for each in records)
            for topic in (HEARTBEAT, TELEMETRY)
        }
        built.cut(ends, now - LATENESS)
        built.dbt("run", "--selector", "insights_batch")
    return built


def beats() -> Iterator[Record]:
    """Every machine each minute, SITE-DARK not from 32 to 62, and DARK-5 never again."""
    for number, name in enumerate(SITES):
        for minute in range(376):
            dark = name in DARK and 32 <= minute < (376 if name == "DARK-5" else 62)
            if name != "NEVER" and not dark:
                us = START + minute * MINUTE + number * SECOND
                yield sent(HEARTBEAT, name, us, interval_s=60)


def samples() -> Iterator[Record]:
    """SPOOL's: too warm from 5 to 10, as the spool tells after six hours of silence."""
    for minute in range(6, 376):
        celsius = 9.0 if minute <= 10 else 4.0
        yield sent(TELEMETRY, "SPOOL", START + minute * MINUTE, cabinet_temp_c=celsius)


def sent(topic: str, name: str, us: int, **fields: object) -> Record:
    """A record; SPOOL's of the minutes 8 to 368 come by its spool at 369."""
    spooled = name == "SPOOL" and 8 * MINUTE <= us - START < 369 * MINUTE
    arrival = START + 369 * MINUTE if spooled else us
    return Record(
        topic=topic,
        partition=0,
        offset=0,
        event_id=f"{topic}-{name}-{us}",
        device_id=name,
        site_id=SITES[name],
        us=us,
        kafka_us=arrival,
        gateway_us=arrival,
        spooled=spooled,
        fields={"boot_id": "1", **fields},
    )


def numbered(events: list[Record]) -> list[Record]:
    """The log: each topic's records in the order of their arrival."""
    ends = {HEARTBEAT: 0, TELEMETRY: 0}
    records = []
    for event in sorted(events, key=lambda each: each.kafka_us):
        records.append(replace(event, offset=ends[event.topic]))
        ends[event.topic] += 1
    return records


def told(day: Warehouse) -> Told:
    """All transitions, by rule and subject: kind, cause, and the minute."""
    found: Told = {}
    for rule, subject, *step in day.query(
        "select rule_id, subject, kind, cause,"
        f" (extract(epoch from at) - {START // SECOND})::float / 60"
        " from ci_insights.transitions order by episode_id, transition_no"
    ):
        found.setdefault((rule, subject), []).append((step[0], step[1], step[2]))
    return found


def test_a_dark_site_is_one_ticket_that_names_its_machines(day: Warehouse) -> None:
    found = told(day)
    assert found["site_outage", "SITE-DARK"] == [
        ("open", "breach", 40),
        ("update", "breach", 55),
        ("resolve", "clear", 65),
    ]
    for name in DARK[:4]:
        kinds = [(kind, cause) for kind, cause, _ in found["heartbeat_missing", name]]
        assert kinds == [("hold", "held"), ("suppress", "suppressed"), ("resolve", "clear")]
    children = [
        [key.split("|")[1] for key in keys]
        for (keys,) in day.query(
            "select children from ci_insights.transitions where rule_id = 'site_outage'"
            " order by transition_no"
        )
    ]
    assert children == [DARK, DARK, ["DARK-5"]]


def test_a_machine_that_stays_away_is_told_when_its_site_is_back(day: Warehouse) -> None:
    _, *gates = told(day)["heartbeat_missing", "DARK-5"]
    assert gates == [("suppress", "suppressed", 40), ("open", "released", 70)]
    ((until, by),) = day.query(
        f"select max(extract(epoch from held_until) - {START // SECOND})::float / 60,"
        " max(suppressed_by) from ci_insights.transitions where subject = 'DARK-5'"
    )
    assert (until, by) == (40, "site_outage|SITE-DARK|")


def test_a_spool_of_six_hours_revises_its_windows_and_opens_nothing_again(day: Warehouse) -> None:
    found = told(day)
    assert [step[:2] for step in found["heartbeat_missing", "SPOOL"]] == [
        ("open", "breach"),
        ("resolve", "clear"),
    ]
    # Three of the window's five samples came by the spool: it was warm, and is over long since.
    assert found["cabinet_over_temperature", "SPOOL"] == [
        ("open", "breach", 10),
        ("resolve", "clear", 20),
    ]
    found_late = day.query(
        "select verdict, batch_id > ("
        "  select min(batch_id) from control.batches"
        "  where watermark >= to_timestamp(window_end_us / 1000000)"
        " ) from ci_insights.verdicts where rule_id = 'cabinet_over_temperature'"
        " and window_end_us = %s",
        START + 10 * MINUTE,
    )
    assert found_late == [("breach", True)]


def test_a_machine_that_was_never_seen_is_told_and_of_the_others_nothing(day: Warehouse) -> None:
    found = told(day)
    assert found["heartbeat_missing", "NEVER"] == [("open", "breach", 3)]
    assert found.keys() == {
        ("site_outage", "SITE-DARK"),
        ("cabinet_over_temperature", "SPOOL"),
        *(("heartbeat_missing", name) for name in (*DARK, "SPOOL", "NEVER")),
    }
