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

-- Of most devices one boot has spoken: then the first in order is the last, and nothing is to be counted.
spanned as (
    select
        device_id,
        window_end_us,
        min(boots[1]) as first_boot,
        max(boots[cardinality(boots)]) as last_boot
    from panes
    group by device_id, window_end_us
),

counted as (
    select
        device_id,
        window_end_us,
        case
            when first_boot is null then 0
            when first_boot = last_boot then 1
            else (
                select count(distinct of_pane.boot)
                from (
                    {%- for relation in [ref('int_telemetry_panes'), ref('int_heartbeat_panes')] %}
                    {{ 'union all' if not loop.first }}
                    select pane.boots from {{ relation }} as pane
                    where
                        pane.device_id = spanned.device_id
                        and pane.pane_end_us > spanned.window_end_us - {{ size_us }}
                        and pane.pane_end_us <= spanned.window_end_us
                        and pane.batch_id <= {{ current_batch().batch_id }}
                    {%- endfor %}
                ) as panes_of_window
                cross join lateral unnest(panes_of_window.boots) as of_pane (boot)
            )
        end as boots
    from spanned
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
        "judged.verdict = 'breach'", 'not witness.clock_fault'
    ) }}
) as witnesses on true
