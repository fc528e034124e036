{{ config(
    materialized='incremental',
    incremental_strategy='batch',
    full_refresh=false,
    post_hook="{{ analyze_if_grown() }}",
    tags=['batch', 'as_it_stood'],
    indexes=[
        {'columns': ['device_id', 'us']},
        {'columns': ['batch_id']},
    ],
) }}

{%- set batch = current_batch() %}

with

spooled as (
    select device_id, arrival_us as us from {{ ref('stg_kafka__telemetry') }}
    where batch_id = {{ batch.batch_id }} and spooled
    union all
    select device_id, arrival_us as us from {{ ref('stg_kafka__alerts') }}
    where batch_id = {{ batch.batch_id }} and spooled
),

clock_faults as (
    select device_id, {{ to_us('arrival_ts') }} as us from {{ source('landing', 'quarantine') }}
    where
        device_id is not null
        and (
            (topic = 'telemetry.raw' and {{ batch_quarantined('telemetry.raw') }})
            or (topic = 'alerts.raw' and {{ batch_quarantined('alerts.raw') }})
        )
)

select
    signs.*,
    {{ batch.batch_id }}::bigint as batch_id
from (
    select * from spooled
    union all
    select * from clock_faults
) as signs
