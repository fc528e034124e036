{#- Tumbling 5 min per device; the limit is that of the registered model, as of the window's end. -#}
{%- set size_us = seconds(300) %}
{%- set samples_needed = 3 %}
{%- set clear_margin_c = 1 %}
{%- set watermark_us = current_batch().watermark_us %}

with

samples as (
    {{ events_in_scope(ref('stg_kafka__telemetry'), size_us, hop_us=size_us) }}
),

windowed as (
    select
        device_id,
        window_start_us,
        window_end_us,
        count(*) as samples,
        min(cabinet_temp_c) as coldest_c,
        max(cabinet_temp_c) as warmest_c
    from ({{ tumbling_windows('samples', size_us) }}) as assigned
    where
        cabinet_temp_c is not null
        and window_end_us > scope_from_us
        and window_end_us <= {{ watermark_us }}
    group by 1, 2, 3
),

limited as (
    select
        windowed.*,
        model_limits.max_cabinet_c as limit_c
    from windowed
    inner join {{ source('reference', 'devices') }} as devices
        on windowed.device_id = devices.device_id and {{ valid_at('devices', 'windowed.window_end_us') }}
    inner join {{ source('reference', 'model_limits') }} as model_limits
        on devices.model = model_limits.model and {{ valid_at('model_limits', 'windowed.window_end_us') }}
    where model_limits.max_cabinet_c is not null
),

judged as (
    select
        *,
        case
            when coldest_c > limit_c and samples >= {{ samples_needed }} then 'breach'
            when warmest_c < limit_c - {{ clear_margin_c }} then 'clear'
            else 'hold'
        end as verdict
    from limited
)

select
    judged.device_id as subject,
    'device' as subject_kind,
    '' as component,
    judged.window_start_us,
    judged.window_end_us,
    judged.verdict,
    case when judged.verdict = 'breach' then judged.coldest_c else judged.warmest_c end as observed,
    case
        when judged.verdict = 'clear' then judged.limit_c - {{ clear_margin_c }} else judged.limit_c
    end as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from judged
left join lateral (
    {{ witnesses(
        'telemetry.raw', ref('stg_kafka__telemetry'), 'judged.device_id', 'judged.window_start_us',
        'judged.window_end_us',
        "judged.verdict <> 'clear'", 'witness.cabinet_temp_c is not null'
    ) }}
) as witnesses on true
