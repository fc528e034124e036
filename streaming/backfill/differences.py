"""What would differ: the verdicts that a merge revises.

`revisions` in the backfill's schema has a row for each verdict that is not as production knows it,
with the revision that it becomes; `gone` where there is none any more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from streaming.backfill.base import Base, us_of


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding that differs: `was` and `now` are None where there is none.

    Attributes:
        change: added, gone or changed.
        rule_version: Of the rule that says so now; of a finding that is gone, that which said it.
        window_end: With rule, subject and component its identity.
    """

    change: str
    rule_id: str
    rule_version: str
    subject: str
    component: str
    window_end: datetime
    was_observed: float | None
    was_threshold: float | None
    observed: float | None
    threshold: float | None


def compare(
    connection: psycopg.Connection,
    schema: str,
    base: Base,
    since: datetime,
    until: datetime,
    clears: Mapping[str, int],
) -> None:
    """Makes the table `revisions` of the windows that end in (since, until], and an `unsettled`.

    Args:
        connection: The ODS, as the role of dbt.
        schema: The backfill's, its windows judged.
        base: What is compared with.
        since: Beginning of the range.
        until: Its end.
        clears: How many clears end an episode, by the rules that are compared.
    """
    connection.execute(
        sql.SQL("create table {} (rule_id text, subject text, component text)").format(
            sql.Identifier(schema, "unsettled")
        )
    )
    connection.execute(
        _REVISIONS.format(
            revisions=sql.Identifier(schema, "revisions"), judged=sql.Identifier(schema, "verdicts")
        ),
        {
            "since": us_of(since),
            "until": us_of(until),
            "base": base.batch_id,
            "rules": list(clears),
        },
    )


def findings(connection: psycopg.Connection, schema: str) -> list[Finding]:
    """Returns the findings that differ, by rule, subject and time."""
    with connection.cursor(row_factory=class_row(Finding)) as cursor:
        return cursor.execute(_FINDINGS.format(sql.Identifier(schema, "revisions"))).fetchall()


def others(connection: psycopg.Connection, schema: str) -> int:
    """Returns how many clears and holds differ; episodes end by them."""
    row = connection.execute(
        sql.SQL(
            "select count(*) from {} where verdict <> 'breach' and was_verdict <> 'breach'"
        ).format(sql.Identifier(schema, "revisions"))
    ).fetchone()
    return int(row[0]) if row else 0


def any_left(connection: psycopg.Connection, schema: str) -> bool:
    """Returns whether there is a revision to merge."""
    revisions = sql.Identifier(schema, "revisions")
    query = sql.SQL("select from {} limit 1").format(revisions)
    return connection.execute(query).fetchone() is not None


def leave_out_stale(connection: psycopg.Connection, schema: str, base: Base) -> int:
    """Leaves out what batches since the base may have judged by more; returns how many verdicts.

    Such a batch has read late events of the subject, or has merged another backfill.
    """
    stale = _STALE.format(revisions=sql.Identifier(schema, "revisions"))
    return connection.execute(stale, {"base": base.batch_id}).rowcount


_REVISIONS = sql.SQL("""
create table {revisions} as
with
known as (
    select distinct on (rule_id, subject, component, window_end_us) *
    from insights.verdicts
    where
        window_end_us > %(since)s and window_end_us <= %(until)s
        and rule_id = any(%(rules)s) and batch_id <= %(base)s
    order by rule_id, subject, component, window_end_us, revision desc
),
judged as (
    select distinct on (rule_id, subject, component, window_end_us) *
    from {judged}
    where
        window_end_us > %(since)s and window_end_us <= %(until)s
        and rule_id = any(%(rules)s) and batch_id > %(base)s
    order by rule_id, subject, component, window_end_us, revision desc
),
found as (
    select * from judged
    where verdict <> 'gone'
)
select
    rule_id,
    subject,
    component,
    window_end_us,
    coalesce(found.rule_version, known.rule_version) as rule_version,
    coalesce(found.subject_kind, known.subject_kind) as subject_kind,
    coalesce(found.window_start_us, known.window_start_us) as window_start_us,
    coalesce(known.revision, 0) + 1 as revision,
    coalesce(found.verdict, 'gone') as verdict,
    case when found.verdict is null then known.observed else found.observed end as observed,
    case when found.verdict is null then known.threshold else found.threshold end as threshold,
    coalesce(found.evidence, known.evidence) as evidence,
    coalesce(known.verdict, 'gone') as was_verdict,
    known.observed as was_observed,
    known.threshold as was_threshold
from found
full outer join known using (rule_id, subject, component, window_end_us)
where
    (found.verdict is null and known.verdict <> 'gone')
    or (
        found.verdict is not null
        and (found.verdict, found.window_start_us, found.observed, found.threshold, found.evidence)
        is distinct from
        (known.verdict, known.window_start_us, known.observed, known.threshold, known.evidence)
    )
""")
_FINDINGS = sql.SQL("""
select
    case
        when was_verdict <> 'breach' then 'added'
        when verdict <> 'breach' then 'gone'
        else 'changed'
    end as change,
    rule_id, rule_version, subject, component,
    to_timestamp(0) + window_end_us * interval '1 microsecond' as window_end,
    case when was_verdict = 'breach' then was_observed end as was_observed,
    case when was_verdict = 'breach' then was_threshold end as was_threshold,
    case when verdict = 'breach' then observed end as observed,
    case when verdict = 'breach' then threshold end as threshold
from {}
where verdict = 'breach' or was_verdict = 'breach'
order by rule_id, subject, component, window_end_us
""")
_STALE = sql.SQL("""
with
reached as (
    select max(window_end_us) as us from {revisions}
),
late as (
    select device_id from staging.stg_kafka__telemetry
    where batch_id > %(base)s and us <= (select us from reached)
    union
    select device_id from staging.stg_kafka__alerts
    where batch_id > %(base)s and us <= (select us from reached)
    union
    select device_id from staging.stg_kafka__heartbeats
    where batch_id > %(base)s and least(us, beat_us) <= (select us from reached)
    union
    select device_id from insights.int_signs_at_arrival
    where batch_id > %(base)s and us <= (select us from reached)
),
subjects as (
    select device_id as subject from late
    union
    select site_id from reference.devices inner join late using (device_id)
)
delete from {revisions} as r
where
    r.subject in (select subject from subjects)
    or exists (
        select from insights.verdicts as v
        where
            v.rule_id = r.rule_id and v.subject = r.subject and v.component = r.component
            and v.window_end_us = r.window_end_us and v.revision >= r.revision
    )
""")
