{{ config(
    indexes=[
        {'columns': ['device_id', 'us', 'epoch', 'partition', '"offset"']},
        {'columns': ['us']},
        {'columns': ['batch_id', 'us']},
        {'columns': ['partition', 'event_id'], 'unique': true},
        {'columns': ['epoch', 'partition', '"offset"'], 'unique': true},
    ],
) }}

with

records as (
    select * from {{ source('landing', 'telemetry_raw') }}
    where {{ batch_records('telemetry.raw') }} and payload is not null
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
        fields.cabinet_temp_c,
        fields.compressor_on,
        fields.supply_voltage_v,
        fields.door_open,
        fields.vends_ok_total,
        fields.vends_failed_total,
        fields.cashless_online
    from records
    cross join lateral json_to_record(records.payload) as fields (
        event_id text,
        spooled boolean,
        boot_id text,
        cabinet_temp_c double precision,
        compressor_on boolean,
        supply_voltage_v double precision,
        door_open boolean,
        vends_ok_total bigint,
        vends_failed_total bigint,
        cashless_online boolean
    )
),

first_of_each as (
    {{ first_of_each_event('events') }}
)

select
    *,
    {{ current_batch().batch_id }}::bigint as batch_id
from first_of_each
