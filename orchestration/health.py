"""The platform's health, judged on the data's own watermark. A sick machine is no sick platform.

Each question is one query and one pure judgement; nothing known yet counts as unhealthy.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
from psycopg.errors import UndefinedTable
from psycopg.rows import class_row

from streaming.contracts.telemetry import Telemetry
from streaming.settings import LandingSettings
from streaming.watermark import HEARTBEATS

TELEMETRY = Telemetry.topic

OLD_WATERMARK = timedelta(minutes=5)
LONG_BATCH = timedelta(minutes=5)
STALE_DEVICE = timedelta(minutes=10)
HEARD_SHARE = 0.8
POISON_WINDOW = timedelta(minutes=10)
POISON_LEAST = 10
LATE_INTENT = timedelta(minutes=15)
NAMED = 10


Facts = Mapping[str, int | float | str]


@dataclass(frozen=True, slots=True)
class Health:
    """An answer."""

    healthy: bool
    because: str
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Platform:
    """The platform as a question finds it: the ODS as the orchestrator, the time, the limits."""

    ods: psycopg.Connection
    now: datetime
    landing: LandingSettings


@dataclass(frozen=True, slots=True)
class Watermark:
    """The whole watermark, and why it is held."""

    watermark: datetime | None
    held_reason: str | None


def watermark_is_recent(platform: Platform) -> Health:
    """Asks whether data arrive: the pipeline's silence, not the devices'."""
    with platform.ods.cursor(row_factory=class_row(Watermark)) as cursor:
        found = cursor.execute("select watermark, held_reason from control.watermark").fetchone()
    return judge_watermark(found or Watermark(None, None), platform.now)


def judge_watermark(state: Watermark, now: datetime) -> Health:
    """Returns whether the watermark has come far enough."""
    if state.watermark is None:
        return Health(False, "there is no watermark yet: too little of the fleet has been heard")
    age = now - state.watermark
    facts: Facts = {
        "watermark": state.watermark.isoformat(),
        "age_s": round(age.total_seconds(), 1),
    }
    if state.held_reason is not None:
        return Health(False, f"the watermark is held: {state.held_reason}", facts)
    if age > OLD_WATERMARK:
        return Health(False, f"the watermark is {age.total_seconds():.0f} s old", facts)
    return Health(True, "data arrive", facts)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A batch that is not done."""

    batch_id: int
    attempt: int
    cut_at: datetime


def batches_are_finished(platform: Platform) -> Health:
    """Asks whether what was cut is worked off."""
    with platform.ods.cursor(row_factory=class_row(Unfinished)) as cursor:
        found = cursor.execute(
            "select batch_id, attempt, cut_at from control.batches where state <> 'done'"
        ).fetchone()
    return judge_batch(found, platform.now)


def judge_batch(batch: Unfinished | None, now: datetime) -> Health:
    """Returns whether the unfinished batch, if any, is still young."""
    if batch is None:
        return Health(True, "no batch is unfinished")
    age = now - batch.cut_at
    facts: Facts = {"batch": batch.batch_id, "attempt": batch.attempt, "age_s": age.total_seconds()}
    because = f"batch {batch.batch_id} is unfinished, in attempt {batch.attempt}"
    return Health(age <= LONG_BATCH, because, facts)


@dataclass(frozen=True, slots=True)
class Devices:
    """The fleet, and who of it has been silent for long."""

    expected: int
    silent: int
    named: list[str]


def devices_are_heard(platform: Platform) -> Health:
    """Asks how many devices have sent no heartbeat of late; rules tell which need help."""
    return judge_devices(_seen_on(platform, HEARTBEATS))


def devices_report(platform: Platform) -> Health:
    """Asks how many devices have sent no telemetry of late, whatever their heartbeats say."""
    return judge_devices(_seen_on(platform, TELEMETRY))


def _seen_on(platform: Platform, topic: str) -> Devices:
    """Returns the fleet as of the instant up to which `insights.last_seen` is known."""
    with (
        suppress(UndefinedTable),  # no batch has made it yet
        platform.ods.transaction(),
        platform.ods.cursor(row_factory=class_row(Devices)) as cursor,
    ):
        found = cursor.execute(
            "with at as (select from_watermark as until from control.batches"
            "  where state = 'done' and from_watermark > '-infinity'"
            "  order by batch_id desc limit 1),"
            " fleet as (select device_id, until from reference.devices, at"
            "  where valid_from <= until and until < valid_to"
            "  and commissioned_at <= until - %(stale)s::interval"
            "  and until < coalesce(decommissioned_at, 'infinity')),"
            " silent as (select device_id from fleet where not exists ("
            "  select 1 from insights.last_seen as seen"
            "  where seen.device_id = fleet.device_id and seen.topic = %(topic)s"
            "  and seen.us > extract(epoch from fleet.until - %(stale)s::interval) * 1000000))"
            " select (select count(*) from fleet) as expected,"
            " (select count(*) from silent) as silent,"
            " array(select device_id from silent order by device_id limit %(named)s) as named",
            {"stale": STALE_DEVICE, "named": NAMED, "topic": topic},
        ).fetchone()
        if found is not None:
            return found
    return Devices(0, 0, [])


def judge_devices(devices: Devices) -> Health:
    """Returns whether most of the fleet is there."""
    if not devices.expected:
        return Health(False, "no device is registered, or there are no two batches yet")
    heard = 1 - devices.silent / devices.expected
    minutes = STALE_DEVICE.total_seconds() / 60
    return Health(
        heard >= HEARD_SHARE,
        f"{devices.silent} of {devices.expected} devices silent for {minutes:.0f} min",
        {
            "expected": devices.expected,
            "silent": devices.silent,
            "some_of_them": ", ".join(devices.named),
        },
    )


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What a topic has landed of late, quarantine included, and how much of it is there."""

    topic: str
    records: int
    quarantined: int

    @property
    def share(self) -> float:
        """The poison rate."""
        return self.quarantined / self.records if self.records else 0.0


def quarantine_is_small(platform: Platform) -> Health:
    """Asks of each topic how much of what landed in the last minutes broke its contract."""
    # By offsets, from where they were by the newest batch that is old enough: both sides count the
    # same records, also where none has been cut since.
    with platform.ods.cursor(row_factory=class_row(Quarantined)) as cursor:
        found = cursor.execute(
            "with since as (select to_offsets from control.batches where cut_at <= %(since)s"
            "  order by batch_id desc limit 1),"
            " starts as (select v.* from since, jsonb_to_recordset(to_offsets) as v (topic text,"
            '  epoch integer, "partition" integer, "offset" bigint)),'
            ' late as (select o.topic, o.epoch, o."partition",'
            '  coalesce(s."offset", o.start_offset) as low, o.next_offset'
            '  from landing.offsets as o left join starts as s using (topic, epoch, "partition"))'
            " select topic, sum(next_offset - low)::bigint as records, sum(("
            "  select count(*) from landing.quarantine as q where q.topic = late.topic"
            '  and q.epoch = late.epoch and q."partition" = late."partition"'
            '  and q."offset" >= late.low))::bigint as quarantined'
            " from late group by topic order by topic",
            {"since": platform.now - POISON_WINDOW},
        ).fetchall()
    return judge_quarantine(found, platform.landing.poison_rate)


def judge_quarantine(found: Sequence[Quarantined], limit: float) -> Health:
    """Returns whether few records break their contract, or too few to tell."""
    poisoned = [each for each in found if each.share > limit and each.quarantined >= POISON_LEAST]
    told = ", ".join(
        f"{each.quarantined:,} of {each.records:,} in {each.topic}" for each in poisoned or found
    )
    return Health(
        not poisoned,
        f"of the last minutes' records broke their contract: {told or 'none, for none came'}",
        {each.topic: round(each.share, 4) for each in found},
    )


@dataclass(frozen=True, slots=True)
class Intents:
    """Intents that ought to have been done."""

    due: int
    oldest: datetime | None
    problem: str | None


def intents_are_done(platform: Platform) -> Health:
    """Asks whether ServiceNow gets what is due."""
    with platform.ods.cursor(row_factory=class_row(Intents)) as cursor:
        found = cursor.execute(
            "select count(*) as due, min(created_at) as oldest,"
            " (array_agg(problem order by created_at))[1] as problem"
            " from ticketing.intents where done_at is null"
        ).fetchone()
    return judge_intents(found or Intents(0, None, None), platform.now)


def judge_intents(intents: Intents, now: datetime) -> Health:
    """Returns whether no intent has waited for long."""
    facts: Facts = {"open_intents": intents.due}
    if intents.oldest is None or now - intents.oldest <= LATE_INTENT:
        return Health(True, f"{intents.due} intents wait, none for long", facts)
    since = f"{intents.oldest:%Y-%m-%d %H:%M} UTC"
    return Health(
        False, f"{intents.due} intents wait, since {since}: {intents.problem or 'not tried'}", facts
    )
