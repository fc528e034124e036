"""Up to where the past can be judged again, and from where on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg

from streaming.errors import BackfillError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Base:
    """What a backfill is compared with: all that was found up to a batch.

    Attributes:
        batch_id: The newest batch that is done and of which the lake has every record.
        watermark: Up to where it has judged.
        redrive: The last redrive in it.
        known_from: The first beat: of the time before it nothing is known.
    """

    batch_id: int
    watermark: datetime
    redrive: int
    known_from: datetime


def find(connection: psycopg.Connection) -> Base:
    """Returns the base of a backfill that begins now.

    Args:
        connection: The ODS, as the role of dbt.

    Raises:
        BackfillError: Nothing has been judged that the lake has.
    """
    row = connection.execute(_NEWEST).fetchone()
    if row is None:
        raise BackfillError(
            "no batch is done of which the lake has all records: it trails the ODS by some minutes"
        )
    batch_id, watermark, redrive = row
    [(known_us,)] = connection.execute(
        "select min(beat_us) from staging.stg_kafka__heartbeats where batch_id = 1"
    )
    if known_us is None:
        raise BackfillError("the first batch had no heartbeat: nothing is known to begin with")
    return Base(batch_id, watermark, redrive, at(known_us))


def check(base: Base, since: datetime, until: datetime) -> None:
    """Refuses a range that cannot be judged again.

    Raises:
        BackfillError: It is empty, or reaches beyond what is known; the message says how far.
    """
    if until <= since:
        raise BackfillError(f"the range ends at {until}, but begins at {since}: give a later --to")
    if until > base.watermark:
        raise BackfillError(
            f"the insights, and the lake behind them, have come to {base.watermark}: what ends at "
            f"{until} is not judged yet"
        )
    if since < base.known_from:
        raise BackfillError(
            f"nothing is known of the time before {base.known_from}, the first beat in the lake: "
            "give a later --from"
        )


def chosen(known: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Returns the rules that were asked for; all where none was.

    Raises:
        BackfillError: There is no such rule.
    """
    if unknown := sorted(set(asked) - set(known)):
        raise BackfillError(
            f"there is no rule {', '.join(unknown)}; there are {', '.join(sorted(known))}"
        )
    return sorted(set(asked) or known)


def at(us: int) -> datetime:
    """Returns microseconds since 1970 as an instant."""
    return EPOCH + timedelta(microseconds=us)


def us_of(instant: datetime) -> int:
    """Returns an instant as microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


_NEWEST = """
select b.batch_id, b.watermark, b.to_redrive
from control.batches as b
where
    b.state = 'done'
    and not exists (
        select from jsonb_to_recordset(b.to_offsets)
            as v (topic text, epoch integer, "partition" integer, "offset" bigint)
        left join landing.offsets as o using (topic, epoch, "partition")
        where v."offset" > coalesce(o.lake_next, o.start_offset, 0)
    )
order by b.batch_id desc
limit 1
"""
