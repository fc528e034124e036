{{ config(
    materialized='incremental',
    incremental_strategy='batch',
    full_refresh=false,
    tags=['batch'],
    indexes=[
        {'columns': ['episode_id', 'batch_id'], 'unique': true},
        {'columns': ['rule_id', 'subject', 'component', 'batch_id']},
        {'columns': ['batch_id']},
    ],
) }}

{%- set batch = current_batch() %}
{%- set key = 'rule_id, subject, component' %}

with

touched as (
    select rule_id, subject, component from {{ ref('int_keys_touched') }}
    where batch_id = {{ batch.batch_id }}
),

folded as (
    select
        {{ key }},
        episode_no,
        max(subject_kind) as subject_kind,
        min(at_us) as opened_us,
        case
            when (array_agg(kind order by at_us desc))[1] = 'resolve' then max(at_us)
        end as resolved_us
    from {{ ref('int_episode_events_folded') }}
    where batch_id = {{ batch.batch_id }}
    group by {{ key }}, episode_no
),

newest as (
{%- if is_incremental() %}
    select distinct on (versions.episode_id) versions.*
    from touched
    inner join {{ this }} as versions using ({{ key }})
    where versions.batch_id < {{ batch.batch_id }}
    order by versions.episode_id, versions.batch_id desc
{%- else %}
    select
        *,
        null::uuid as episode_id,
        false as muted,
        null::text as ended_by,
        null::bigint as batch_id
    from folded
    where false
{%- endif %}
),

known as (
    select * from newest
    where ended_by is null
),

-- A known episode goes on in the first folded one that it overlaps.
home as (
    select distinct on (known.episode_id)
        known.episode_id,
        known.opened_us as known_opened_us,
        folded.rule_id,
        folded.subject,
        folded.component,
        folded.episode_no
    from known
    inner join folded using ({{ key }})
    where
        folded.opened_us <= coalesce(known.resolved_us, 9223372036854775807)
        and known.opened_us <= coalesce(folded.resolved_us, 9223372036854775807)
    order by known.episode_id, folded.episode_no
),

-- Where several go on in the same, the oldest keeps its ticket.
heir as (
    select distinct on ({{ key }}, episode_no) {{ key }}, episode_no, episode_id
    from home
    order by {{ key }}, episode_no, known_opened_us, episode_id
),

going_on as (
    select
        coalesce(
            heir.episode_id,
            md5(concat_ws(
                '|', folded.rule_id, folded.subject, folded.component, folded.opened_us, {{ batch.batch_id }}
            ))::uuid
        ) as episode_id,
        {{ key }},
        folded.subject_kind,
        folded.opened_us,
        folded.resolved_us,
        {{ in_maintenance('mute', 'folded.subject_kind', 'folded.subject', 'folded.opened_us') }} as muted,
        null::text as ended_by
    from folded
    left join heir using ({{ key }}, episode_no)
),

ended as (
    select
        known.episode_id,
        {{ key }},
        known.subject_kind,
        known.opened_us,
        coalesce(known.resolved_us, {{ batch.watermark_us }}) as resolved_us,
        known.muted,
        case when home.episode_id is null then 'revised' else 'merged' end as ended_by
    from known
    left join home using (episode_id, {{ key }})
    where known.episode_id not in (select heir.episode_id from heir)
),

versions as (
    select * from going_on
    union all
    select * from ended
),

changed as (
    select versions.*
    from versions
    left join known using (episode_id)
    where
        (versions.opened_us, versions.resolved_us, versions.muted, versions.ended_by)
        is distinct from (known.opened_us, known.resolved_us, known.muted, known.ended_by)
)

select
    *,
    {{ batch.batch_id }}::bigint as batch_id
from changed
