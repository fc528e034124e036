"""The episodes that would follow from the revisions, before they are merged."""

from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from streaming.backfill.base import Base


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


def prepare(connection: psycopg.Connection, schema: str, base: Base, batch_id: int) -> None:
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


def read(connection: psycopg.Connection, schema: str, batch_id: int) -> list[Episode]:
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
