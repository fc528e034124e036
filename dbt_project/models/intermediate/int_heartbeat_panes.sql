{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    unique_key=['device_id', 'pane_end_us'],
    full_refresh=false,
    post_hook="{{ analyze_if_grown() }}",
    tags=['batch'],
    indexes=[
        {'columns': ['device_id', 'pane_end_us'], 'unique': true},
        {'columns': ['pane_end_us']},
    ],
) }}

with

beats as (
    select
        *,
        {{ window_end('us', pane_us()) }} as pane_end_us
    from ({{ events_in_scope(ref('stg_kafka__heartbeats'), pane_us(), hop_us=pane_us()) }}) as in_scope
    where not clock_fault
)

select
    device_id,
    pane_end_us,
    count(*) as beats,
    array_agg(distinct boot_id) as boots,
    {{ current_batch().batch_id }}::bigint as batch_id
from beats
where pane_end_us > scope_from_us and pane_end_us <= {{ current_batch().watermark_us }}
group by device_id, pane_end_us
