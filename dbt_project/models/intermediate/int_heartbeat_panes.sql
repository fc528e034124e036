{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    unique_key=['device_id', 'pane_end_us'],
    full_refresh=false,
    post_hook=["{{ leave_room_for_updates() }}", "{{ analyze_if_grown() }}"],
    tags=['batch'],
    indexes=[
        {'columns': ['device_id', 'pane_end_us'], 'unique': true},
        {'columns': ['pane_end_us']},
    ],
) }}

with

open_pane as (
    {{ open_pane() }}
),

beats as (
    select * from ({{ events_of_panes(ref('stg_kafka__heartbeats')) }}) as of_panes
    where not clock_fault
),

added as (
    select
        device_id,
        pane_end_us,
        goes_on,
        count(*) as beats,
        array_agg(distinct boot_id) as boots
    from beats
    group by device_id, pane_end_us, goes_on
),

known as not materialized (
{%- if is_incremental() %}
    select * from {{ this }}
{%- else %}
    select * from added
    where false
{%- endif %}
)

select
    added.device_id,
    added.pane_end_us,
    coalesce(known.beats, 0) + added.beats as beats,
    {{ boots_of_both('known.boots', 'added.boots') }} as boots,
    {{ current_batch().batch_id }}::bigint as batch_id
from added
left join known
    on
        added.goes_on
        and added.device_id = known.device_id
        and added.pane_end_us = known.pane_end_us
