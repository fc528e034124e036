"""The watermark: the event time below which nothing more is expected, and when not to believe it.

A partition's watermark is (first term) the largest min(event_ts, arrival, now) that has landed,
less the late tolerance L; or (second term), once the ODS has reached the end that the broker gave
at t0, t0 − L. It never falls; the whole is the minimum over the partitions.

Without a registered device there is none: of nobody can it be told whether he is silent.
The pipeline's silence is not the devices' silence, so in a fleet of three sites and more:

- Less than 40 % of the fleet heard from in the 180 s before the candidate: the heartbeats'
  partitions count by their first term alone. If it still fails, the watermark is held; until it
  has once succeeded, there is none.
- No offset has moved for 60 s (a standstill): held until 80 % of those heard before are heard
  again, and 60 s more. So too where nobody looked at the time, and landing tells it afterwards.

A partition that the broker has and landing does not know of holds it as well, unless it is empty.

Whoever knows better releases a hold (`watermark_holds`): then nothing is held until all is well.

`decide` is pure; `observe` asks the ODS and the broker's ends what it needs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from streaming.sinks.ods import table_of
from streaming.standstill import STANDSTILL

HEARTBEATS = "heartbeat.raw"
HEARD_WITHIN = timedelta(seconds=180)
FLEET_SHARE = 0.4
RETURN_SHARE = 0.8
RETURN_WAIT = timedelta(seconds=60)
GUARDED_SITES = 3

Ends = Mapping[tuple[str, int], int]
"""The last stable offset by topic and partition, as the broker gave it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition has come, in offsets and in time."""

    topic: str
    epoch: int
    partition: int
    next_offset: int
    max_event_ts: datetime | None
    watermark: datetime | None
    end_offset: int | None
    end_asked_at: datetime | None

    @property
    def name(self) -> str:
        """Topic and partition."""
        return f"{self.topic}[{self.partition}]"

    def asked(self, end: int | None, t0: datetime) -> "Progress":
        """Takes note of the broker's end at t0, unless an older question is still open."""
        open_question = self.end_offset is not None and self.next_offset < self.end_offset
        if end is None or (open_question and self.next_offset < end):
            return self
        return replace(self, end_offset=end, end_asked_at=t0)

    def first_term(self, tolerance: timedelta) -> datetime | None:
        """Returns the watermark by what has been seen alone."""
        seen = None if self.max_event_ts is None else self.max_event_ts - tolerance
        return _latest(self.watermark, seen)

    def second_term(self, tolerance: timedelta) -> datetime | None:
        """Returns the watermark by having read all that there was; None where there is more."""
        if self.end_offset is None or self.next_offset < self.end_offset:
            return None
        return self.end_asked_at and self.end_asked_at - tolerance

    def both_terms(self, tolerance: timedelta) -> datetime | None:
        """Returns the watermark by what has been seen, or by having read all that there was."""
        return _latest(self.first_term(tolerance), self.second_term(tolerance))


@dataclass(frozen=True, slots=True)
class State:
    """The whole watermark between two looks at it.

    `resumed_at` is when offsets moved again after a standstill, `returned_at` when enough devices
    were heard again; `released_at` when somebody ended a hold, until all is well.
    `looked_at` is when it was looked at before.
    """

    watermark: datetime | None = None
    heard_once: bool = False
    held_since: datetime | None = None
    held_reason: str | None = None
    stood_still: bool = False
    resumed_at: datetime | None = None
    returned_at: datetime | None = None
    devices_expected: int = 0
    devices_heard: int = 0
    released_at: datetime | None = None
    looked_at: datetime | None = None

    def held(self, reason: str, now: datetime) -> "State":
        """Returns the state, held for a reason."""
        return replace(self, held_since=self.held_since or now, held_reason=reason)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The devices in operation at a moment, their sites, and how many were heard just before."""

    devices: int
    sites: int
    heard: int

    @property
    def guarded(self) -> bool:
        """Whether the fleet is large enough to tell its silence from the pipeline's."""
        return self.sites >= GUARDED_SITES

    @property
    def present(self) -> bool:
        """Whether there is a fleet, and enough of it was heard."""
        if not self.devices:
            return False
        return not self.guarded or self.heard >= FLEET_SHARE * self.devices

    def absence(self, moment: datetime) -> str:
        """Returns in words why the fleet is not present at a moment."""
        if not self.devices:
            return f"no device is registered at {moment:%Y-%m-%d %H:%M:%S} UTC"
        return (
            f"only {self.heard} of {self.devices} devices were heard from in the "
            f"{HEARD_WITHIN.seconds} s before {moment:%Y-%m-%d %H:%M:%S} UTC"
        )


@dataclass(frozen=True, slots=True)
class Moves:
    """When a next offset last moved, and when one last did so after a standstill."""

    moved_at: datetime
    resumed_at: datetime | None = None

    def ended_unseen(self, state: State) -> bool:
        """Returns whether a standstill has begun and ended since somebody looked."""
        if state.stood_still or state.looked_at is None or self.resumed_at is None:
            return False
        return self.resumed_at > state.looked_at


def decide(
    state: State,
    partitions: Sequence[Progress],
    moves: Moves | None,
    now: datetime,
    tolerance: timedelta,
    fleet_at: Callable[[datetime], Fleet],
    returned: Callable[[datetime, datetime], tuple[int, int]],
) -> tuple[State, list[Progress]]:
    """Returns the watermark's next state, and the partitions' own watermarks where it moved.

    Args:
        state: The state before.
        partitions: All partitions, the broker's ends noted.
        moves: When landing last moved; None where it never has.
        now: The time.
        tolerance: The late tolerance L.
        fleet_at: Asks for the fleet at a candidate watermark.
        returned: Asks, for the watermark and the time since which they count, how many devices
            were heard before it, and how many of these were heard again.
    """
    if not partitions or moves is None:
        return state, []
    released = state.released_at is not None
    if not released:
        state = _after_standstill(state, moves, now, fleet_at, returned)
    if state.stood_still:
        return state, []
    accepted = [replace(each, watermark=each.both_terms(tolerance)) for each in partitions]
    unknown = [each for each in accepted if each.watermark is None]
    if released:
        accepted = [each for each in accepted if each.watermark is not None]
    whole = _least(accepted)
    if whole is None:
        if state.watermark is None or not unknown:
            return state, []
        return state.held(f"nothing is known of {unknown[0].name}", now), []
    fleet = fleet_at(whole)
    if not released and not fleet.present:
        accepted = [
            replace(
                each,
                watermark=each.first_term(tolerance)
                if each.topic == HEARTBEATS
                else each.both_terms(tolerance),
            )
            for each in partitions
        ]
        proven = _least(accepted)
        if proven is not None:
            whole, fleet = proven, fleet_at(proven)
    counted = replace(state, devices_expected=fleet.devices, devices_heard=fleet.heard)
    if not released and not fleet.present:
        if not state.heard_once:
            return counted, []
        return counted.held(fleet.absence(whole), now), []
    well = fleet.present and not unknown and now - moves.moved_at <= STANDSTILL
    moved = replace(
        counted,
        watermark=_latest(state.watermark, whole),
        heard_once=True,
        held_since=None,
        held_reason=None,
        released_at=None if well else state.released_at,
    )
    return moved, accepted


def _after_standstill(
    state: State,
    moves: Moves,
    now: datetime,
    fleet_at: Callable[[datetime], Fleet],
    returned: Callable[[datetime, datetime], tuple[int, int]],
) -> State:
    """Returns the state with a standstill begun, gone on, or over."""
    watermark, moved_at = state.watermark, moves.moved_at
    if watermark is None:
        return state
    if moves.ended_unseen(state) and fleet_at(watermark).guarded:
        state = replace(state, stood_still=True, resumed_at=moves.resumed_at)
    # Where a few devices are all there is, their silence is a standstill too: it must be found.
    if now - moved_at > STANDSTILL and fleet_at(watermark).guarded:
        stopped = replace(state, stood_still=True, resumed_at=None, returned_at=None)
        return stopped.held(f"nothing has landed since {moved_at:%Y-%m-%d %H:%M:%S} UTC", now)
    if not state.stood_still:
        return state
    resumed_at = state.resumed_at or moved_at
    state = replace(state, resumed_at=resumed_at)
    if state.returned_at is None:
        before, again = returned(watermark, resumed_at)
        if again < RETURN_SHARE * before:
            reason = f"after a standstill, {again} of {before} devices were heard from again"
            return state.held(reason, now)
        state = replace(state, returned_at=now)
    if state.returned_at is not None and now - state.returned_at < RETURN_WAIT:
        return state.held("the devices are back after a standstill; waiting for stragglers", now)
    return replace(state, stood_still=False, resumed_at=None, returned_at=None)


def advance(
    connection: psycopg.Connection, ends: Ends, asked_at: datetime, tolerance: timedelta
) -> State:
    """Looks at what has landed, and moves the watermark or holds it, in one transaction.

    Args:
        connection: The ODS, as the role of the orchestrator.
        ends: The broker's ends of all partitions of the landed topics.
        asked_at: When the broker was asked for them (t0): before this call.
        tolerance: The late tolerance.
    """
    with connection.transaction():
        state = read_state(connection)
        partitions, moves = read_progress(connection)
        partitions = [
            each.asked(ends.get((each.topic, each.partition)), asked_at)
            for each in [*partitions, *_unknown(partitions, ends)]
        ]
        topics = sorted({each.topic for each in partitions})
        after, accepted = decide(
            state,
            partitions,
            moves,
            asked_at,
            tolerance,
            lambda moment: _fleet_at(connection, topics, moment),
            lambda before, since: count_returned(connection, topics, before, since),
        )
        _write(
            connection, after, {(p.topic, p.epoch, p.partition): p for p in partitions}, accepted
        )
    return after


def read_state(connection: psycopg.Connection) -> State:
    """Returns the watermark's state, locked until the transaction ends."""
    with connection.cursor(row_factory=class_row(State)) as cursor:
        state = cursor.execute(
            "select watermark, heard_once, held_since, held_reason, stood_still, resumed_at,"
            " returned_at, coalesce(devices_expected, 0) as devices_expected,"
            " coalesce(devices_heard, 0) as devices_heard, released_at, updated_at as looked_at"
            " from control.watermark for update"
        ).fetchone()
    if state is None:
        raise LookupError("control.watermark has lost its row: insert default values")
    return state


def read_progress(connection: psycopg.Connection) -> tuple[list[Progress], Moves | None]:
    """Returns how far the partitions have come, and when landing last moved."""
    # Of the topic's newest epoch alone: one that has ended holds nothing up. Those, too, of which
    # only the broker has told: so they are known when it is away.
    with connection.cursor(row_factory=class_row(Progress)) as cursor:
        partitions = cursor.execute(
            'select topic, epoch, "partition", coalesce(o.next_offset, 0) as next_offset,'
            " o.max_event_ts, p.watermark, p.end_offset, p.end_asked_at"
            " from landing.offsets o"
            ' full join control.partition_progress p using (topic, epoch, "partition")'
            " where epoch = coalesce((select max(n.epoch) from landing.offsets n"
            "  where n.topic = coalesce(o.topic, p.topic)), 0)"
            ' order by topic, "partition"'
        ).fetchall()
    row = connection.execute(
        "select max(moved_at), max(resumed_at) from landing.offsets"
    ).fetchone()
    return partitions, Moves(*row) if row and row[0] else None


def _unknown(partitions: Sequence[Progress], ends: Ends) -> list[Progress]:
    """Returns the partitions that the broker has, and of which nothing is known."""
    known = {(each.topic, each.partition) for each in partitions}
    epochs = {each.topic: each.epoch for each in partitions}
    return [
        Progress(topic, epochs.get(topic, 0), partition, 0, None, None, None, None)
        for topic, partition in sorted(ends.keys() - known)
    ]


def _write(
    connection: psycopg.Connection,
    state: State,
    asked: dict[tuple[str, int, int], Progress],
    accepted: Sequence[Progress],
) -> None:
    connection.execute(
        "update control.watermark set watermark = %(watermark)s, heard_once = %(heard_once)s,"
        " held_since = %(held_since)s, held_reason = %(held_reason)s,"
        " stood_still = %(stood_still)s, resumed_at = %(resumed_at)s,"
        " returned_at = %(returned_at)s, devices_expected = %(devices_expected)s,"
        " devices_heard = %(devices_heard)s, released_at = %(released_at)s, updated_at = now()",
        asdict(state),
    )
    final = asked | {(each.topic, each.epoch, each.partition): each for each in accepted}
    with connection.cursor() as cursor:
        cursor.executemany(
            'insert into control.partition_progress (topic, epoch, "partition", watermark,'
            " end_offset, end_asked_at) values (%s, %s, %s, %s, %s, %s)"
            ' on conflict (topic, epoch, "partition") do update set'
            " watermark = excluded.watermark, end_offset = excluded.end_offset,"
            " end_asked_at = excluded.end_asked_at",
            [
                (p.topic, p.epoch, p.partition, p.watermark, p.end_offset, p.end_asked_at)
                for p in final.values()
            ],
        )


def _signs_of_life(topics: Sequence[str]) -> sql.Composed:
    """Returns device_id and arrival of all that counts as a sign of life, after `since`."""
    each = sql.SQL(
        "select device_id, case when gateway_ts between kafka_ts - interval '20 days'"
        " and kafka_ts + interval '5 minutes' then gateway_ts else kafka_ts end as arrival"
        " from landing.{} where device_id is not null"
        " and kafka_ts >= %(since)s::timestamptz - interval '5 minutes'"
    )
    parts: list[sql.Composable] = [each.format(sql.Identifier(table_of(topic))) for topic in topics]
    parts.append(
        sql.SQL(
            "select device_id, arrival_ts from landing.quarantine"
            " where device_id is not null and arrival_ts > %(since)s"
        )
    )
    return sql.SQL(" union all ").join(parts)


def _fleet_at(connection: psycopg.Connection, topics: Sequence[str], moment: datetime) -> Fleet:
    query = sql.SQL(
        "with fleet as (select device_id, site_id from reference.devices"
        " where valid_from <= %(moment)s and %(moment)s < valid_to"
        " and commissioned_at <= %(moment)s and %(moment)s < coalesce(decommissioned_at,"
        " 'infinity')), life as ({life})"
        " select (select count(*) from fleet) as devices,"
        " (select count(distinct site_id) from fleet) as sites,"
        " (select count(*) from fleet where device_id in (select device_id from life"
        "  where arrival > %(since)s and arrival <= %(moment)s)) as heard"
    ).format(life=_signs_of_life(topics))
    with connection.cursor(row_factory=class_row(Fleet)) as cursor:
        found = cursor.execute(query, {"moment": moment, "since": moment - HEARD_WITHIN}).fetchone()
    return found or Fleet(0, 0, 0)


def count_returned(
    connection: psycopg.Connection, topics: Sequence[str], before: datetime, since: datetime
) -> tuple[int, int]:
    """Returns how many were heard right before a moment, and how many of them again since."""
    query = sql.SQL(
        "with life as ({life}),"
        " earlier as (select distinct device_id from life"
        "  where arrival > %(since)s and arrival <= %(before)s)"
        " select (select count(*) from earlier), (select count(*) from earlier"
        "  where device_id in (select device_id from life where arrival >= %(resumed)s))"
    ).format(life=_signs_of_life(topics))
    row = connection.execute(
        query, {"since": before - HEARD_WITHIN, "before": before, "resumed": since}
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _latest(*moments: datetime | None) -> datetime | None:
    return max((moment for moment in moments if moment is not None), default=None)


def _least(partitions: Sequence[Progress]) -> datetime | None:
    """Returns the minimum, or None where a partition has none yet."""
    moments = [each.watermark for each in partitions]
    known = [moment for moment in moments if moment is not None]
    return min(known) if known and len(known) == len(moments) else None
