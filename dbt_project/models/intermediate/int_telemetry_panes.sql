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

{%- set batch = current_batch() %}
{%- set log_order = 'us, epoch, "partition", "offset"' %}

with

samples as (
    select
        *,
        {{ window_end('us', pane_us()) }} as pane_end_us
    from ({{ events_in_scope(ref('stg_kafka__telemetry'), pane_us(), hop_us=pane_us()) }}) as in_scope
    where
        {{ window_end('us', pane_us()) }} > scope_from_us
        and {{ window_end('us', pane_us()) }} <= {{ batch.watermark_us }}
),

starts as (
    select
        device_id,
        min(us) as us
    from samples
    group by device_id
),

-- Of the sample before the first, only what follows from it counts.
border as (
    select before.*
    from starts
    cross join lateral (
        select sample.* from {{ ref('stg_kafka__telemetry') }} as sample
        where
            sample.device_id = starts.device_id
            and sample.us < starts.us
            and sample.batch_id <= {{ batch.batch_id }}
        order by sample.us desc, sample.epoch desc, sample."partition" desc, sample."offset" desc
        limit 1
    ) as before
),

followed as (
    select
        *,
        lag(compressor_on) over in_order as compressor_was_on,
        lag(boot_id) over in_order as boot_before,
        lag(vends_ok_total) over in_order as vends_ok_before,
        lag(vends_failed_total) over in_order as vends_failed_before
    from (
        select
            device_id, us, epoch, "partition", "offset", boot_id, cabinet_temp_c, compressor_on,
            vends_ok_total, vends_failed_total, pane_end_us
        from samples
        union all
        select
            device_id, us, epoch, "partition", "offset", boot_id, cabinet_temp_c, compressor_on,
            vends_ok_total, vends_failed_total, null as pane_end_us
        from border
    ) as of_devices
    window in_order as (partition by device_id order by {{ log_order }})
)

-- A counter counts since boot: in a new boot its value is what was added. What a missing value has
-- added is not known, which is not 0.
select
    device_id,
    pane_end_us,
    count(*) as samples,
    count(cabinet_temp_c) as temperatures,
    min(cabinet_temp_c) as coldest_c,
    max(cabinet_temp_c) as warmest_c,
    count(compressor_on) as compressor_states,
    count(*) filter (where compressor_on and not compressor_was_on) as compressor_starts,
    sum(case
        when boot_id = boot_before and vends_ok_total < vends_ok_before then 0
        when boot_id = boot_before then vends_ok_total - vends_ok_before
        when boot_before is not null then vends_ok_total
    end)::bigint as vends_ok,
    sum(case
        when boot_id = boot_before and vends_failed_total < vends_failed_before then 0
        when boot_id = boot_before then vends_failed_total - vends_failed_before
        when boot_before is not null then vends_failed_total
    end)::bigint as vends_failed,
    array_agg(distinct boot_id) as boots,
    {{ batch.batch_id }}::bigint as batch_id
from followed
where pane_end_us is not null
group by device_id, pane_end_us
