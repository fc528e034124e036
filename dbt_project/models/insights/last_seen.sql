{{ config(
    materialized='incremental',
    incremental_strategy='newest',
    unique_key=['device_id', 'topic'],
    full_refresh=false,
    tags=['batch'],
    indexes=[{'columns': ['device_id', 'topic'], 'unique': true}],
    meta={'newest_by': ['us', 'epoch', '"partition"', '"offset"']},
    post_hook=["{{ leave_room_for_updates() }}", "{{ analyze_if_grown() }}"],
) }}

{#-
As of the watermark before: what the batch before has closed, and what comes late to that. So an attempt
at the batch that failed has left what the next one needs, and a silence is counted from these rows.
-#}
{%- set arrival_if_spooled = 'case when spooled then arrival_us else us end' %}

with

seen as (
    {{ last_signs('heartbeat.raw', ref('stg_kafka__heartbeats'), 'beat_us', 'beat_us', 'interval_s') }}
    union all
    {{ last_signs('telemetry.raw', ref('stg_kafka__telemetry'), 'us', arrival_if_spooled) }}
    union all
    {{ last_signs('alerts.raw', ref('stg_kafka__alerts'), 'us', arrival_if_spooled) }}
)

select distinct on (device_id, topic)
    device_id,
    topic,
    us,
    interval_s,
    epoch,
    "partition",
    "offset",
    {{ current_batch().batch_id }}::bigint as batch_id
from seen
order by device_id, topic, us desc, epoch desc, "partition" desc, "offset" desc
