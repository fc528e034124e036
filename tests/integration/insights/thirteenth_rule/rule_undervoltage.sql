{#- Per sample: the supply is too low. -#}
with

samples as (
    select * from ({{ events_in_scope(ref('stg_kafka__telemetry'), 0) }}) as in_scope
    where supply_voltage_v is not null
)

select
    device_id as subject,
    'device' as subject_kind,
    '' as component,
    us as window_start_us,
    us as window_end_us,
    case when supply_voltage_v < {{ threshold('volts') }} then 'breach' else 'clear' end as verdict,
    supply_voltage_v as observed,
    {{ threshold('volts') }}::double precision as threshold,
    '[]'::jsonb as evidence
from samples
