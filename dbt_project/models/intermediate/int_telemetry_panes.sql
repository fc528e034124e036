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

{%- set batch = current_batch() %}
{%- set log_order = 'us, epoch, "partition", "offset"' %}

with

open_pane as (
    {{ open_pane() }}
),

samples as (
    {{ events_of_panes(ref('stg_kafka__telemetry')) }}
),

starts as (
    select
        device_id,
        min(us) as us,
        min({{ window_end('us', pane_us()) }}) as pane_end_us,
        bool_or(goes_on) as goes_on
    from samples
    group by device_id
),

-- Of the sample before the first, only what follows from it counts. Mostly its pane has kept it: the one
-- that goes on, or the one before.
{%- if is_incremental() %}
kept_border as (
    select
        starts.device_id,
        pane.pane_end_us,
        starts.us - 1 as us,
        pane.last_boot_id as boot_id,
        pane.last_compressor_on as compressor_on,
        pane.last_vends_ok_total as vends_ok_total,
        pane.last_vends_failed_total as vends_failed_total
    from starts
    cross join lateral (
        select kept.* from {{ this }} as kept
        where
            kept.device_id = starts.device_id
            and kept.pane_end_us >= starts.pane_end_us - {{ pane_us() }}
            and kept.pane_end_us <= starts.pane_end_us - case when starts.goes_on then 0 else {{ pane_us() }} end
        order by kept.pane_end_us desc
        limit 1
    ) as pane
),
{%- else %}
kept_border as (
    select
        device_id,
        pane_end_us,
        us,
        null as boot_id,
        null::boolean as compressor_on,
        null::bigint as vends_ok_total,
        null::bigint as vends_failed_total
    from starts
    where false
),
{%- endif %}

-- Materialized: else the last sample of each is looked up before it is known whose is needed.
without_pane_before as materialized (
    select * from starts
    where
        not exists (
            select 1 from kept_border
            where kept_border.device_id = starts.device_id
        )
),

border as (
    select device_id, us, boot_id, compressor_on, vends_ok_total, vends_failed_total from kept_border
    union all
    select before.*
    from without_pane_before as starts
    cross join lateral (
        select
            sample.device_id,
            sample.us,
            sample.boot_id,
            sample.compressor_on,
            sample.vends_ok_total,
            sample.vends_failed_total
        from {{ ref('stg_kafka__telemetry') }} as sample
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
        lag(vends_failed_total) over in_order as vends_failed_before,
        coalesce(lead(pane_end_us) over in_order, 0) <> pane_end_us as is_last
    from (
        select
            device_id, us, epoch, "partition", "offset", boot_id, cabinet_temp_c, compressor_on,
            vends_ok_total, vends_failed_total, pane_end_us, goes_on
        from samples
        union all
        select
            device_id, us, null as epoch, null as "partition", null as "offset", boot_id, null as cabinet_temp_c,
            compressor_on, vends_ok_total, vends_failed_total, null as pane_end_us, null as goes_on
        from border
    ) as of_devices
    window in_order as (partition by device_id order by {{ log_order }})
),

-- A counter counts since boot: in a new boot its value is what was added. What a missing value has
-- added is not known, which is not 0.
added as (
    select
        device_id,
        pane_end_us,
        goes_on,
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
        max(boot_id) filter (where is_last) as last_boot_id,
        bool_or(compressor_on) filter (where is_last) as last_compressor_on,
        max(vends_ok_total) filter (where is_last) as last_vends_ok_total,
        max(vends_failed_total) filter (where is_last) as last_vends_failed_total
    from followed
    where pane_end_us is not null
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
    coalesce(known.samples, 0) + added.samples as samples,
    coalesce(known.temperatures, 0) + added.temperatures as temperatures,
    least(known.coldest_c, added.coldest_c) as coldest_c,
    greatest(known.warmest_c, added.warmest_c) as warmest_c,
    coalesce(known.compressor_states, 0) + added.compressor_states as compressor_states,
    coalesce(known.compressor_starts, 0) + added.compressor_starts as compressor_starts,
    coalesce(known.vends_ok + added.vends_ok, known.vends_ok, added.vends_ok) as vends_ok,
    coalesce(known.vends_failed + added.vends_failed, known.vends_failed, added.vends_failed) as vends_failed,
    {{ boots_of_both('known.boots', 'added.boots') }} as boots,
    added.last_boot_id,
    added.last_compressor_on,
    added.last_vends_ok_total,
    added.last_vends_failed_total,
    {{ batch.batch_id }}::bigint as batch_id
from added
left join known
    on
        added.goes_on
        and added.device_id = known.device_id
        and added.pane_end_us = known.pane_end_us
