"""What would differ: the verdicts that a merge revises, and the episodes that follow from them.

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


@dataclass(frozen=True, slots=True)
class Episode:
    """An episode that would follow, or not be there any more.

    Attributes:
        change: added, gone, merged (into an older one) or changed.
        episode_id: Its identity; None of one that is added, which gets it by the merge.
        incident: Its incident, if one is open.
    """

    change: str
    episode_id: str | None
    rule_id: str
    subject: str
    component: str
    was_opened_at: datetime | None
    was_resolved_at: datetime | None
    opened_at: datetime | None
    resolved_at: datetime | None
    incident: str | None


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


def unsettled(
    connection: psycopg.Connection,
    schema: str,
    base: Base,
    upto: datetime,
    clears: Mapping[str, int],
) -> int:
    """Returns how many keys would stay open by a revision, as far as is judged up to an instant.

    Of what is no breach production keeps a verdict only while an episode is open: the clears that a
    revised breach needs may lie beyond the range. The keys are left in the table `unsettled`.
    """
    row = connection.execute(
        _UNSETTLED.format(
            unsettled=sql.Identifier(schema, "unsettled"),
            revisions=sql.Identifier(schema, "revisions"),
        ),
        {
            "upto": us_of(upto),
            "base": base.batch_id,
            "rules": list(clears),
            "clears": list(clears.values()),
        },
    ).fetchone()
    return int(row[0]) if row else 0


def add_endings(
    connection: psycopg.Connection, schema: str, base: Base, since: datetime, until: datetime
) -> None:
    """Adds to the revisions the clears that unsettled keys need of a chunk beyond the range."""
    connection.execute(
        _ENDINGS.format(
            revisions=sql.Identifier(schema, "revisions"),
            unsettled=sql.Identifier(schema, "unsettled"),
            judged=sql.Identifier(schema, "verdicts"),
        ),
        {"since": us_of(since), "until": us_of(until), "base": base.batch_id},
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


def prepare_episodes(
    connection: psycopg.Connection, schema: str, base: Base, batch_id: int
) -> None:
    """Lets the models of episodes see production's verdicts with the revisions among them.

    Args:
        connection: The ODS, as the role of dbt.
        schema: The backfill's, its revisions made.
        base: What is compared with.
        batch_id: The number of the batch that the revisions are of.
    """
    names = {
        name: sql.Identifier(schema, name)
        for name in ("batches", "verdicts", "revisions", "episode_versions")
    }
    values = {"base": sql.Literal(base.batch_id), "batch_id": sql.Literal(batch_id)}
    with connection.transaction():
        for statement in _EPISODES_SEEDED:
            connection.execute(statement.format(**names, **values))


def episodes(connection: psycopg.Connection, schema: str, batch_id: int) -> list[Episode]:
    """Returns the episodes that differ, by rule, subject and time.

    Args:
        connection: The ODS, as the role of dbt.
        schema: The backfill's, its episodes folded.
        batch_id: The batch in which they were.
    """
    with connection.cursor(row_factory=class_row(Episode)) as cursor:
        return cursor.execute(
            _EPISODES.format(
                versions=sql.Identifier(schema, "episode_versions"),
                revisions=sql.Identifier(schema, "revisions"),
            ),
            {"batch_id": batch_id},
        ).fetchall()


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
_UNSETTLED = sql.SQL("""
with
touched as (
    select distinct rule_id, subject, component from {revisions}
),
known as (
    select distinct on (v.rule_id, v.subject, v.component, v.window_end_us)
        v.rule_id, v.subject, v.component, v.window_end_us, v.verdict
    from touched
    inner join insights.verdicts as v using (rule_id, subject, component)
    where v.window_end_us <= %(upto)s and v.batch_id <= %(base)s
    order by v.rule_id, v.subject, v.component, v.window_end_us, v.revision desc
),
timelines as (
    select false as revised, known.* from known
    union all
    select true as revised, known.* from known
    left join {revisions} as r using (rule_id, subject, component, window_end_us)
    where r.verdict is null
    union all
    select true as revised, rule_id, subject, component, window_end_us, verdict from {revisions}
),
runs as (
    select *, max(window_end_us) filter (where verdict <> 'clear')
        over (partition by revised, rule_id, subject, component) as run_us
    from timelines
    where verdict <> 'gone'
),
states as (
    select
        revised, rule_id, subject, component, run_us,
        count(*) filter (where verdict = 'clear' and window_end_us > run_us) < rule.clears
            as is_open
    from runs
    inner join unnest(%(rules)s::text[], %(clears)s::integer[]) as rule (rule_id, clears)
        using (rule_id)
    where run_us is not null
    group by revised, rule_id, subject, component, run_us, rule.clears
),
found as (
    select rule_id, subject, component from states
    where
        revised and is_open
        and not exists (
            select from states as was
            where
                not was.revised and was.is_open and was.run_us = states.run_us
                and was.rule_id = states.rule_id and was.subject = states.subject
                and was.component = states.component
        )
),
emptied as (
    delete from {unsettled}
),
kept as (
    insert into {unsettled} select * from found
)
select count(*) from found
""")
_ENDINGS = sql.SQL("""
insert into {revisions}
select
    j.rule_id, j.subject, j.component, j.window_end_us, j.rule_version, j.subject_kind,
    j.window_start_us, coalesce(known.revision, 0) + 1, j.verdict, j.observed, j.threshold,
    j.evidence, 'gone', null, null
from {unsettled}
inner join {judged} as j using (rule_id, subject, component)
left join lateral (
    select v.verdict, v.revision from insights.verdicts as v
    where
        v.rule_id = j.rule_id and v.subject = j.subject and v.component = j.component
        and v.window_end_us = j.window_end_us and v.batch_id <= %(base)s
    order by v.revision desc
    limit 1
) as known on true
where
    j.window_end_us > %(since)s and j.window_end_us <= %(until)s
    and j.verdict in ('clear', 'hold') and j.batch_id > %(base)s
    and coalesce(known.verdict, 'gone') = 'gone'
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
_EPISODES_SEEDED = (
    sql.SQL("drop table {verdicts}"),
    sql.SQL(
        "create view {verdicts} as"
        " select rule_id, rule_version, subject, subject_kind, component, window_start_us,"
        "  window_end_us, revision, verdict, observed, threshold, evidence, batch_id"
        " from insights.verdicts where batch_id <= {base}"
        " union all"
        " select rule_id, rule_version, subject, subject_kind, component, window_start_us,"
        "  window_end_us, revision, verdict, observed, threshold, evidence, {batch_id}::bigint"
        " from {revisions}"
    ),
    sql.SQL(
        "create unlogged table {episode_versions} (like insights.episode_versions including all)"
    ),
    sql.SQL(
        "insert into {episode_versions} select v.* from insights.episode_versions as v"
        " where v.batch_id <= {base} and exists (select from {revisions} as r"
        "  where r.rule_id = v.rule_id and r.subject = v.subject and r.component = v.component)"
    ),
    sql.SQL(
        "insert into {batches} (batch_id, from_offsets, to_offsets, from_watermark, watermark,"
        " records) select {batch_id}, '[]', '[]', watermark, watermark, 0"
        " from control.batches where batch_id = {base}"
    ),
)
_EPISODES = sql.SQL("""
select
    case
        when was.episode_id is null then 'added'
        when v.ended_by = 'revised' then 'gone'
        when v.ended_by = 'merged' then 'merged'
        else 'changed'
    end as change,
    was.episode_id::text as episode_id, v.rule_id, v.subject, v.component,
    to_timestamp(0) + was.opened_us * interval '1 microsecond' as was_opened_at,
    to_timestamp(0) + was.resolved_us * interval '1 microsecond' as was_resolved_at,
    case when v.ended_by is null then to_timestamp(0) + v.opened_us * interval '1 microsecond' end
        as opened_at,
    case when v.ended_by is null then to_timestamp(0) + v.resolved_us * interval '1 microsecond' end
        as resolved_at,
    i.number as incident
from {versions} as v
left join lateral (
    select * from {versions} as before
    where before.episode_id = v.episode_id and before.batch_id < v.batch_id
    order by before.batch_id desc
    limit 1
) as was on true
left join ticketing.incidents as i on i.episode_id = v.episode_id and i.resolved_at is null
where
    v.batch_id = %(batch_id)s
    and exists (
        select from {revisions} as r
        where r.rule_id = v.rule_id and r.subject = v.subject and r.component = v.component
    )
order by v.rule_id, v.subject, v.component, v.opened_us
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
