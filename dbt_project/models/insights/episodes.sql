{{ config(materialized='view') }}

with

done as (
    select batch_id from {{ source('control', 'batches') }}
    where state = 'done'
),

versions as (
    select * from {{ ref('episode_versions') }}
),

newest as (
    select distinct on (versions.episode_id) versions.*
    from versions
    inner join done on versions.batch_id = done.batch_id
    order by versions.episode_id, versions.batch_id desc
)

select
    episode_id,
    rule_id || '|' || subject || '|' || component as dedupe_key,
    rule_id,
    subject,
    subject_kind,
    component,
    case when resolved_us is null then 'open' else 'resolved' end as state,
    {{ to_timestamp('opened_us') }} as opened_at,
    {{ to_timestamp('resolved_us') }} as resolved_at,
    muted,
    ended_by,
    batch_id
from newest
