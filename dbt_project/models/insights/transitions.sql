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
    select rule_id, subject, component from {{ ref('int_keys_touched') }}
    where batch_id = {{ batch.batch_id }}
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
        {{ state_after('told.kind') }} as state,
        {{ to_us('told.at') }} as at_us
    from episodes
    inner join {{ this }} as told using (episode_id)
    where told.batch_id < {{ batch.batch_id }}
    order by told.episode_id, told.transition_no desc
{%- else %}
    select
        episode_id,
        0 as transition_no,
        'over' as state,
        null::bigint as at_us
    from episodes
    where false
{%- endif %}
),

events as (
    select
        gated.*,
        min(gated.at_us) over (partition by {{ key }}, gated.episode_no) as opened_us
    from {{ ref('int_episode_events_gated') }} as gated
    where gated.batch_id = {{ batch.batch_id }}
),

lives as (
    select
        episodes.episode_id,
        events.kind,
        events.cause,
        events.at_us,
        events.window_end_us,
        events.held_until_us,
        events.suppressed_by,
        {{ state_after('events.kind') }} as state,
        published.state as told_state,
        published.at_us as told_us
    from events
    inner join episodes using ({{ key }}, opened_us)
    left join published using (episode_id)
    where episodes.ended_by is null
),

-- What was told of an episode so far may not be what its past, revised, now says.
past as (
    select distinct on (episode_id) * from lives
    where told_state is not null and at_us <= {{ batch.from_us }}
    order by episode_id, at_us desc
),

revised_keys as (
    select distinct {{ key }} from {{ ref('verdicts') }}
    where batch_id = {{ batch.batch_id }} and window_end_us <= {{ batch.from_us }}
),

corrections as (
    select
        episode_id,
        case when state = 'open' then 'reopen' else kind end as kind,
        'revised' as cause,
        at_us,
        window_end_us,
        held_until_us,
        suppressed_by
    from past
    -- A ticket that is open is not taken back because its site turns out to have been silent, too.
    where told_state <> state and (told_state <> 'open' or state = 'over')
    union all
    select
        past.episode_id,
        'update' as kind,
        'revised' as cause,
        {{ batch.watermark_us }} as at_us,
        past.window_end_us,
        null as held_until_us,
        null as suppressed_by
    from past
    inner join episodes using (episode_id)
    inner join revised_keys using ({{ key }})
    where
        past.told_state = 'open'
        and episodes.resolved_us is null
        and past.told_us <= {{ batch.watermark_us - update_us }}
    union all
    select
        episodes.episode_id,
        'resolve' as kind,
        episodes.ended_by as cause,
        episodes.resolved_us as at_us,
        episodes.opened_us as window_end_us,
        null as held_until_us,
        null as suppressed_by
    from episodes
    inner join published using (episode_id)
    where
        episodes.batch_id = {{ batch.batch_id }}
        and episodes.ended_by is not null
        and published.state <> 'over'
),

-- `goes_on`: its ticket was open when the batch began, and nothing has ended that since.
ahead as (
    select
        lives.*,
        lives.told_state = 'open'
        and coalesce(past.state, 'open') <> 'over'
        and count(*) filter (where lives.kind = 'resolve') over (
            partition by lives.episode_id order by lives.at_us rows unbounded preceding
        ) = 0 as goes_on
    from lives
    left join past using (episode_id)
    where lives.told_state is null or lives.at_us > {{ batch.from_us }}
),

new_events as (
    select
        episode_id,
        case when kind = 'open' and told_state in ('open', 'over') then 'reopen' else kind end as kind,
        cause,
        at_us,
        window_end_us,
        held_until_us,
        suppressed_by
    from ahead
    where goes_on is not true or kind in ('update', 'resolve')
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

-- Materialized, so that its windows are not computed again for each row that is told.
suppressed as materialized (
    select * from (
        select
            concat_ws('|', {{ key }}) as dedupe_key,
            kind,
            suppressed_by,
            at_us as from_us,
            lead(at_us) over (partition by {{ key }}, episode_no order by at_us) as to_us
        from events
    ) as followed
    where kind = 'suppress'
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
    {{ "'backfill'" if batch.backfill_id else 'decided.cause' }} as cause,
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
    {{ to_timestamp('decided.held_until_us') }} as held_until,
    decided.suppressed_by,
    coalesce(children.dedupe_keys, '[]'::jsonb) as children,
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
left join lateral (
    select jsonb_agg(suppressed.dedupe_key order by suppressed.dedupe_key) as dedupe_keys
    from suppressed
    where
        decided.subject_kind = 'site'
        and suppressed.suppressed_by = decided.rule_id || '|' || decided.subject || '|' || decided.component
        and suppressed.from_us <= decided.at_us
        and (suppressed.to_us is null or suppressed.to_us > decided.at_us)
) as children on true
left join {{ source('reference', 'devices') }} as devices
    on
        decided.subject_kind = 'device'
        and decided.subject = devices.device_id
        and devices.valid_from <= {{ to_timestamp('decided.at_us') }}
        and devices.valid_to > {{ to_timestamp('decided.at_us') }}
