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

points as (
    select device_id, scope_from_us, us as point_us, 1 as entries from raised
    union all
    select device_id, scope_from_us, us + {{ size_us }} as point_us, 0 as entries from raised
),

counted as (
    select
        device_id,
        scope_from_us,
        point_us,
        sum(entries) over (
            partition by device_id order by point_us
            range between {{ size_us - 1 }} preceding and current row
        ) as alerts_raised
    from points
),

evaluated as (
    select distinct device_id, point_us, alerts_raised from counted
    where point_us > scope_from_us and point_us <= {{ watermark_us }}
)

select
    evaluated.device_id as subject,
    'device' as subject_kind,
    '' as component,
    evaluated.point_us - {{ size_us }} as window_start_us,
    evaluated.point_us as window_end_us,
    case when evaluated.alerts_raised >= {{ threshold }} then 'breach' else 'clear' end as verdict,
    evaluated.alerts_raised::double precision as observed,
    {{ threshold }}::double precision as threshold,
    coalesce(witnesses.evidence, '[]'::jsonb) as evidence
from evaluated
left join lateral (
    select {{ evidence('alerts.raw', 'last_ones') }} as evidence
    from (
        select * from {{ ref('stg_kafka__alerts') }} as witness
        where
            witness.device_id = evaluated.device_id
            and witness.state = 'raised'
            and witness.us > evaluated.point_us - {{ size_us }}
            and witness.us <= evaluated.point_us
            and witness.batch_id <= {{ current_batch().batch_id }}
        order by witness.us desc, witness.epoch desc, witness."partition" desc, witness."offset" desc
        limit 10
    ) as last_ones
) as witnesses on evaluated.alerts_raised >= {{ threshold }}
