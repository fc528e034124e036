{#- Hopping 60 min by 5 per device: how often the compressor has started. -#}
{%- set size_us = seconds(3600) %}

with

panes as (
    {{ hops_in_scope(ref('int_telemetry_panes'), size_us, pane_us(), 'pane_end_us') }}
),

counted as (
    select
        device_id,
        window_end_us,
        sum(compressor_starts) as starts
    from panes
    group by device_id, window_end_us
    having sum(compressor_states) > 0
),

judged as (
    select
        *,
        case
            when starts >= {{ threshold('starts') }} then 'breach'
            when starts < {{ threshold('clear_below_starts') }} then 'clear'
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
    judged.starts::double precision as observed,
    case
        when judged.verdict = 'clear' then {{ threshold('clear_below_starts') }}
        else {{ threshold('starts') }}
    end::double precision as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from judged
left join lateral (
    {{ witnesses(
        'telemetry.raw', ref('stg_kafka__telemetry'), 'judged.device_id',
        'judged.window_end_us - ' ~ size_us, 'judged.window_end_us',
        "judged.verdict = 'breach'", 'witness.compressor_on'
    ) }}
) as witnesses on true
