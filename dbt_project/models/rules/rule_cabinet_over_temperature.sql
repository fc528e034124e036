{#- Tumbling 5 min per device; the limit is that of the registered model, as of the window's end. -#}
{%- set samples_needed = 3 %}
{%- set clear_margin_c = 1 %}

with

windowed as (
    select
        device_id,
        pane_end_us - {{ pane_us() }} as window_start_us,
        pane_end_us as window_end_us,
        temperatures as samples,
        coldest_c,
        warmest_c
    from ({{ events_in_scope(ref('int_telemetry_panes'), 0, us='pane_end_us', hop_us=pane_us()) }}) as panes
    where temperatures > 0
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
        "judged.verdict = 'breach'", 'witness.cabinet_temp_c is not null'
    ) }}
) as witnesses on true
