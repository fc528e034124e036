"""What ends an episode that a revision has opened: clears, which may lie beyond the range."""

from collections.abc import Mapping
from datetime import datetime

import psycopg
from psycopg import sql

from streaming.backfill.base import Base, us_of


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


def add(
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
