{#- Tumbling 15 min per device: the share of vends that failed, from the counters' growth. -#}
{%- set size_us = seconds(900) %}

with

panes as (
    {{ hops_in_scope(ref('int_telemetry_panes'), size_us, size_us, 'pane_end_us') }}
),

-- A machine that counts only one of the two has no ratio: its vends are null.
summed as (
    select
        device_id,
        window_end_us,
        sum(vends_failed)::double precision as failed,
        (sum(vends_ok) + sum(vends_failed))::double precision as vends
    from panes
    group by device_id, window_end_us
),

judged as (
    select
        *,
        failed / vends as ratio,
        case
            when vends >= {{ threshold('vends') }} and failed / vends >= {{ threshold('ratio') }} then 'breach'
            when failed / vends < {{ threshold('clear_below_ratio') }} then 'clear'
            else 'hold'
        end as verdict
    from summed
    where vends > 0
)

select
    judged.device_id as subject,
    'device' as subject_kind,
    '' as component,
    judged.window_end_us - {{ size_us }} as window_start_us,
    judged.window_end_us,
    judged.verdict,
    judged.ratio as observed,
    case
        when judged.verdict = 'clear' then {{ threshold('clear_below_ratio') }}
        else {{ threshold('ratio') }}
    end::double precision as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from judged
left join lateral (
    {{ witnesses(
        'telemetry.raw', ref('stg_kafka__telemetry'), 'judged.device_id',
        'judged.window_end_us - ' ~ size_us, 'judged.window_end_us',
        "judged.verdict = 'breach'", 'witness.vends_failed_total is not null'
    ) }}
) as witnesses on true
