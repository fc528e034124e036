{{ config(
    materialized='incremental',
    incremental_strategy='batch',
    full_refresh=false,
    post_hook="{{ analyze_if_grown() }}",
    tags=['batch'],
    meta={'only_current_batch': true},
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

verdicts as (
    select distinct on (verdicts.rule_id, verdicts.subject, verdicts.component, verdicts.window_end_us)
        verdicts.*
    from touched
    inner join {{ ref('verdicts') }} as verdicts using ({{ key }})
    where
        verdicts.window_end_us <= {{ batch.watermark_us }}
        and verdicts.batch_id <= {{ batch.batch_id }}
    order by
        verdicts.rule_id, verdicts.subject, verdicts.component, verdicts.window_end_us,
        verdicts.revision desc
),

-- A breach during unmanaged work stays among the verdicts and opens nothing.
counting as (
    select
        verdicts.rule_id,
        verdicts.subject,
        verdicts.subject_kind,
        verdicts.component,
        verdicts.window_end_us as us,
        verdicts.verdict
    from verdicts
    where
        verdicts.verdict <> 'gone'
        and not (
            verdicts.verdict = 'breach'
            and {{ in_maintenance('unmanage', 'verdicts.subject_kind', 'verdicts.subject', 'verdicts.window_end_us') }}
        )
),

-- A run: a breach or hold, and the clears up to the next.
numbered as (
    select
        *,
        count(*) filter (where verdict <> 'clear') over (partition by {{ key }} order by us) as run_no
    from counting
),

clears as (
    select
        *,
        row_number() over (partition by {{ key }}, run_no order by us) - 1 as clear_no
    from numbered
    where run_no > 0
),

runs as (
    select
        clears.rule_id,
        clears.subject,
        clears.component,
        clears.run_no,
        max(clears.subject_kind) as subject_kind,
        min(clears.us) as us,
        bool_or(clears.verdict = 'breach') as is_breach,
        min(clears.us) filter (
            where clears.clear_no = coalesce(rules.clear_for_windows, 1)
        ) as clear_us,
        max(coalesce(rules.clear_for_us, 0)) as wait_us,
        lead(min(clears.us)) over (
            partition by clears.rule_id, clears.subject, clears.component order by clears.run_no
        ) as next_us
    from clears
    inner join rules using (rule_id)
    group by clears.rule_id, clears.subject, clears.component, clears.run_no
),

resolved as (
    select
        *,
        case
            when clear_us + wait_us <= {{ batch.watermark_us }}
                and (next_us is null or clear_us + wait_us < next_us)
                then clear_us + wait_us
        end as resolved_us
    from runs
),

-- A stretch: the runs from one resolution to the next. It opens with its first breach.
stretched as (
    select
        *,
        count(resolved_us) over (
            partition by {{ key }} order by run_no rows between unbounded preceding and 1 preceding
        ) as stretch_no
    from resolved
),

stretches as (
    select
        {{ key }},
        stretch_no,
        max(subject_kind) as subject_kind,
        min(us) filter (where is_breach) as opened_us,
        max(resolved_us) as resolved_us,
        max(clear_us) filter (where resolved_us is not null) as clear_us
    from stretched
    group by {{ key }}, stretch_no
    having bool_or(is_breach)
),

-- An episode: stretches that follow each other within the quiet interval.
spaced as (
    select
        stretches.*,
        stretches.opened_us - lag(stretches.resolved_us) over by_key <= rules.quiet_interval_us as goes_on
    from stretches
    inner join rules using (rule_id)
    window by_key as (
        partition by stretches.rule_id, stretches.subject, stretches.component order by stretches.stretch_no
    )
),

joined_up as (
    select
        *,
        count(*) filter (where goes_on is not true) over (partition by {{ key }} order by stretch_no)
            as episode_no
    from spaced
),

episodes as (
    select
        *,
        min(opened_us) over (partition by {{ key }}, episode_no) as episode_opened_us
    from joined_up
),

further_breaches as (
    select
        episodes.rule_id,
        episodes.subject,
        episodes.component,
        episodes.episode_no,
        episodes.resolved_us,
        max(stretched.us) as window_end_us,
        episodes.episode_opened_us
        + {{ update_us }} * ((stretched.us - episodes.episode_opened_us + {{ update_us - 1 }}) / {{ update_us }})
            as at_us
    from episodes
    inner join stretched using ({{ key }}, stretch_no)
    where stretched.is_breach and stretched.us > episodes.opened_us
    group by 1, 2, 3, 4, 5, 7
),

events as (
    select
        {{ key }},
        episode_no,
        case when opened_us = episode_opened_us then 'open' else 'reopen' end as kind,
        opened_us as at_us,
        opened_us as window_end_us
    from episodes
    union all
    select
        {{ key }},
        episode_no,
        'resolve' as kind,
        resolved_us as at_us,
        clear_us as window_end_us
    from episodes
    where resolved_us is not null
    union all
    select
        {{ key }},
        episode_no,
        'update' as kind,
        at_us,
        window_end_us
    from further_breaches
    where at_us <= {{ batch.watermark_us }} and (resolved_us is null or at_us < resolved_us)
)

select
    events.*,
    rules.subject_kind,
    {{ batch.batch_id }}::bigint as batch_id
from events
inner join rules using (rule_id)
