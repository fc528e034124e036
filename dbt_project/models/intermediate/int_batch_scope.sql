{{ config(
    materialized='incremental',
    incremental_strategy='batch',
    full_refresh=false,
    post_hook="{{ analyze_if_grown() }}",
    tags=['batch'],
    indexes=[{'columns': ['subject']}],
    meta={'only_current_batch': true},
) }}

{%- set batch = current_batch() %}

with

late_events as (
    select device_id, us from {{ ref('stg_kafka__telemetry') }}
    where batch_id = {{ batch.batch_id }} and us <= {{ batch.from_us }}
    union all
    select device_id, us from {{ ref('stg_kafka__alerts') }}
    where batch_id = {{ batch.batch_id }} and us <= {{ batch.from_us }}
    union all
    -- A beat from the spool proves life when it arrives, and tells of its boot when it was sent.
    select device_id, least(us, beat_us) as us from {{ ref('stg_kafka__heartbeats') }}
    where batch_id = {{ batch.batch_id }} and least(us, beat_us) <= {{ batch.from_us }}
    union all
    select device_id, us from {{ ref('int_signs_at_arrival') }}
    where batch_id = {{ batch.batch_id }} and us <= {{ batch.from_us }}
),

late_subjects as (
    select
        'device' as subject_kind,
        device_id as subject,
        min(us) - 1 as from_us
    from late_events
    group by device_id
    union all
    -- As registered: a clock fault names no site, and an event may name another.
    select
        'site' as subject_kind,
        registry.site_id as subject,
        min(late_events.us) - 1 as from_us
    from late_events
    inner join {{ source('reference', 'devices') }} as registry on late_events.device_id = registry.device_id
    group by registry.site_id
)

select
    *,
    {{ batch.batch_id }}::bigint as batch_id
from late_subjects
