{{ config(
    materialized='incremental',
    incremental_strategy='batch',
    full_refresh=false,
    tags=['batch'],
    indexes=[
        {'columns': ['episode_id', 'transition_no'], 'unique': true},
        {'columns': ['batch_id']},
    ],
    post_hook="{{ finish_batch() }}",
) }}

{%- set batch = current_batch() %}
{%- set key = 'rule_id, subject, component' %}
{%- set update_us = seconds(var('update_interval_s')) %}

with

rules as (
    select * from {{ ref('int_rules') }}
),

touched as (
    select * from {{ ref('int_keys_touched') }}
),

episodes as (
    select distinct on (versions.episode_id) versions.*
    from touched
    inner join {{ ref('episode_versions') }} as versions using ({{ key }})
    where versions.batch_id <= {{ batch.batch_id }}
    order by versions.episode_id, versions.batch_id desc
),

published as (
{%- if is_incremental() %}
    select distinct on (told.episode_id)
        told.episode_id,
        told.transition_no,
        told.kind <> 'resolve' as is_open,
        {{ to_us('told.at') }} as at_us
    from episodes
    inner join {{ this }} as told using (episode_id)
    where told.batch_id < {{ batch.batch_id }}
    order by told.episode_id, told.transition_no desc
{%- else %}
    select
        episode_id,
        0 as transition_no,
        false as is_open,
        null::bigint as at_us
    from episodes
    where false
{%- endif %}
),

events as (
    select
        folded.*,
        min(folded.at_us) over (partition by {{ key }}, folded.episode_no) as opened_us
    from {{ ref('int_episode_events_folded') }} as folded
    where folded.batch_id = {{ batch.batch_id }}
),

lives as (
    select
        episodes.episode_id,
        events.kind,
        events.at_us,
        events.window_end_us,
        published.is_open as was_open,
        published.at_us as told_us
    from events
    inner join episodes using ({{ key }}, opened_us)
    left join published using (episode_id)
    where episodes.ended_by is null
),

-- What was told of an episode so far may not be what its past, revised, now says.
past as (
    select distinct on (episode_id) * from lives
    where was_open is not null and at_us <= {{ batch.from_us }}
    order by episode_id, at_us desc
),

revised_keys as (
    select distinct {{ key }} from {{ ref('verdicts') }}
    where batch_id = {{ batch.batch_id }} and window_end_us <= {{ batch.from_us }}
),

corrections as (
    select
        episode_id,
        case when kind = 'resolve' then 'resolve' else 'reopen' end as kind,
        'revised' as cause,
        at_us,
        window_end_us
    from past
    where was_open = (kind = 'resolve')
    union all
    select
        past.episode_id,
        'update' as kind,
        'revised' as cause,
        {{ batch.watermark_us }} as at_us,
        past.window_end_us
    from past
    inner join episodes using (episode_id)
    inner join revised_keys using ({{ key }})
    where
        past.was_open
        and episodes.resolved_us is null
        and past.told_us <= {{ batch.watermark_us - update_us }}
    union all
    select
        episodes.episode_id,
        'resolve' as kind,
        episodes.ended_by as cause,
        episodes.resolved_us as at_us,
        episodes.opened_us as window_end_us
    from episodes
    inner join published using (episode_id)
    where episodes.batch_id = {{ batch.batch_id }} and episodes.ended_by is not null and published.is_open
),

new_events as (
    select
        episode_id,
        case when kind = 'open' and was_open is not null then 'reopen' else kind end as kind,
        case when kind = 'resolve' then 'clear' else 'breach' end as cause,
        at_us,
        window_end_us
    from lives
    where
        was_open is null
        or (at_us > {{ batch.from_us }} and not (kind = 'open' and was_open))
),

numbered as (
    select
        told.*,
        coalesce(published.transition_no, 0)
        + row_number() over (partition by told.episode_id order by told.phase, told.at_us) as transition_no
    from (
        select *, 1 as phase from corrections
        union all
        select *, 2 as phase from new_events
    ) as told
    left join published using (episode_id)
),

decided as (
    select distinct on (numbered.episode_id, numbered.transition_no)
        numbered.*,
        episodes.rule_id,
        episodes.subject,
        episodes.subject_kind,
        episodes.component,
        episodes.muted,
        verdicts.rule_version,
        verdicts.window_start_us,
        verdicts.observed,
        verdicts.threshold,
        verdicts.evidence
    from numbered
    inner join episodes using (episode_id)
    inner join {{ ref('verdicts') }} as verdicts using ({{ key }}, window_end_us)
    where verdicts.batch_id <= {{ batch.batch_id }}
    order by numbered.episode_id, numbered.transition_no, verdicts.revision desc
)

select
    decided.episode_id,
    decided.transition_no::integer as transition_no,
    decided.kind,
    decided.cause,
    decided.rule_id || '|' || decided.subject || '|' || decided.component as dedupe_key,
    decided.rule_id,
    decided.rule_version,
    rules.severity,
    decided.subject,
    decided.component,
    case when decided.subject_kind = 'site' then decided.subject else devices.site_id end as site_id,
    case when decided.subject_kind = 'device' then decided.subject end as device_id,
    coalesce(devices.assignment_group, rules.assignment_group) as assignment_group,
    devices.cmdb_ci,
    rules.runbook,
    decided.muted,
    {{ to_timestamp('decided.at_us') }} as at,
    {{ to_timestamp('decided.window_start_us') }} as window_start,
    {{ to_timestamp('decided.window_end_us') }} as window_end,
    decided.observed,
    decided.threshold,
    decided.evidence,
    {{ batch.batch_id }}::bigint as batch_id,
    now() as decided_at
from decided
inner join rules on decided.rule_id = rules.rule_id
left join {{ source('reference', 'devices') }} as devices
    on
        decided.subject_kind = 'device'
        and decided.subject = devices.device_id
        and devices.valid_from <= {{ to_timestamp('decided.at_us') }}
        and devices.valid_to > {{ to_timestamp('decided.at_us') }}
