{{ config(
    materialized='incremental',
    incremental_strategy='batch',
    full_refresh=false,
    tags=['batch'],
    indexes=[{'columns': ['subject']}],
    meta={'only_current_batch': true},
) }}

{%- set batch = current_batch() %}

with

late_events as (
    select device_id, site_id, us from {{ ref('stg_kafka__telemetry') }}
    where batch_id = {{ batch.batch_id }} and us <= {{ batch.from_us }}
    union all
    select device_id, site_id, us from {{ ref('stg_kafka__alerts') }}
    where batch_id = {{ batch.batch_id }} and us <= {{ batch.from_us }}
    union all
    -- A beat from the spool proves life when it arrives, and tells of its boot when it was sent.
    select device_id, site_id, least(us, beat_us) as us from {{ ref('stg_kafka__heartbeats') }}
    where batch_id = {{ batch.batch_id }} and least(us, beat_us) <= {{ batch.from_us }}
),

late_subjects as (
    select
        'device' as subject_kind,
        device_id as subject,
        min(us) - 1 as from_us
    from late_events
    group by device_id
    union all
    select
        'site' as subject_kind,
        site_id as subject,
        min(us) - 1 as from_us
    from late_events
    where site_id is not null
    group by site_id
)

select
    *,
    {{ batch.batch_id }}::bigint as batch_id
from late_subjects
