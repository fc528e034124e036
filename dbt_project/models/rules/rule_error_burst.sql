{#- Sliding 60 s per device: evaluated where an alert enters the window and where it leaves. -#}
{%- set size_us = seconds(60) %}
{%- set threshold = 5 %}
{%- set watermark_us = current_batch().watermark_us %}

with

alerts as (
    {{ events_in_scope(ref('stg_kafka__alerts'), size_us) }}
),

raised as (
    select device_id, us, scope_from_us from alerts
    where state = 'raised'
),

-- The last to leave clears: its window counts too, though it is empty.
evaluated as (
    select
        device_id,
        window_start_us,
        window_end_us,
        events as alerts_raised
    from ({{ sliding_windows('raised', 'device_id, scope_from_us', size_us, empty=true) }}) as slid
    where window_end_us > scope_from_us and window_end_us <= {{ watermark_us }}
)

select
    evaluated.device_id as subject,
    'device' as subject_kind,
    '' as component,
    evaluated.window_start_us,
    evaluated.window_end_us,
    case when evaluated.alerts_raised >= {{ threshold }} then 'breach' else 'clear' end as verdict,
    evaluated.alerts_raised::double precision as observed,
    {{ threshold }}::double precision as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from evaluated
left join lateral (
    {{ witnesses(
        'alerts.raw', ref('stg_kafka__alerts'), 'evaluated.device_id', 'evaluated.window_start_us',
        'evaluated.window_end_us',
        'evaluated.alerts_raised >= ' ~ threshold, "witness.state = 'raised'"
    ) }}
) as witnesses on true
