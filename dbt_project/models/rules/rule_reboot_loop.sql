{#- Hopping 30 min by 5 per device: how many boots have spoken, by telemetry or by a beat. -#}
{%- set size_us = seconds(1800) %}

with

panes as (
    select device_id, window_end_us, boots
    from ({{ hops_in_scope(ref('int_telemetry_panes'), size_us, pane_us(), 'pane_end_us') }}) as telemetry
    union all
    select device_id, window_end_us, boots
    from ({{ hops_in_scope(ref('int_heartbeat_panes'), size_us, pane_us(), 'pane_end_us') }}) as heartbeats
),

counted as (
    select
        panes.device_id,
        panes.window_end_us,
        count(distinct of_pane.boot) as boots
    from panes
    cross join lateral unnest(panes.boots) as of_pane (boot)
    group by panes.device_id, panes.window_end_us
),

judged as (
    select
        *,
        case
            when boots >= {{ threshold('boots') }} then 'breach'
            when boots <= {{ threshold('clear_at_boots') }} then 'clear'
            else 'hold'
        end as verdict
    from counted
)

select
    judged.device_id as subject,
    'device' as subject_kind,
    '' as component,
    judged.window_end_us - {{ size_us }} as window_start_us,
    judged.window_end_us,
    judged.verdict,
    judged.boots::double precision as observed,
    case
        when judged.verdict = 'clear' then {{ threshold('clear_at_boots') }}
        else {{ threshold('boots') }}
    end::double precision as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from judged
left join lateral (
    {{ witnesses(
        'heartbeat.raw', ref('stg_kafka__heartbeats'), 'judged.device_id',
        'judged.window_end_us - ' ~ size_us, 'judged.window_end_us',
        "judged.verdict <> 'clear'", 'not witness.clock_fault'
    ) }}
) as witnesses on true
