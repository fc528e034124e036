{{ config(
    indexes=[
        {'columns': ['device_id', 'beat_us', 'epoch', 'partition', '"offset"']},
        {'columns': ['us']},
        {'columns': ['beat_us']},
        {'columns': ['batch_id', 'beat_us']},
        {'columns': ['partition', 'event_id'], 'unique': true},
        {'columns': ['epoch', 'partition', '"offset"'], 'unique': true},
    ],
) }}

with

records as (
    select landed.* from {{ source('landing', 'heartbeat_raw') }} as landed
    where {{ batch_records('heartbeat.raw') }} and payload is not null
    {%- if is_incremental() and current_batch().to_redrive > current_batch().from_redrive %}
        -- A clock fault that has been a beat does not become another one by its redrive.
        and (
            landed.redrive is null
            or not exists (
                select 1 from {{ this }} as beat
                where
                    beat.epoch = landed.epoch
                    and beat."partition" = landed."partition"
                    and beat."offset" = landed."offset"
                    and beat.clock_fault
                    and beat.batch_id < {{ current_batch().batch_id }}
            )
        )
    {%- endif %}
),

clock_faults as (
    select * from {{ source('landing', 'quarantine') }}
    where
        topic = 'heartbeat.raw' and device_id is not null
        and {{ batch_quarantined('heartbeat.raw') }}
),

events as (
    select
        records.epoch,
        records."partition",
        records."offset",
        fields.event_id,
        records.device_id,
        records.site_id,
        {{ to_us('records.event_ts') }} as us,
        {{ to_us(arrival('records.gateway_ts', 'records.kafka_ts')) }} as arrival_us,
        coalesce(fields.spooled, false) as spooled,
        fields.boot_id,
        coalesce(fields.interval_s, 60) as interval_s
    from records
    cross join lateral json_to_record(records.payload) as fields (
        event_id text,
        spooled boolean,
        boot_id text,
        interval_s integer
    )
),

first_of_each as (
    {{ first_of_each_event('events') }}
),

beats as (
    select
        *,
        false as clock_fault
    from first_of_each
    union all
    select
        epoch,
        "partition",
        "offset",
        null as event_id,
        device_id,
        null as site_id,
        {{ to_us('arrival_ts') }} as us,
        {{ to_us('arrival_ts') }} as arrival_us,
        false as spooled,
        null as boot_id,
        60 as interval_s,
        true as clock_fault
    from clock_faults
)

select
    *,
    -- A machine that was offline was silent: what its spool brings proves life when it arrives.
    case when spooled then arrival_us else us end as beat_us,
    {{ current_batch().batch_id }}::bigint as batch_id
from beats
