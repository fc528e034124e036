{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    unique_key=['device_id', 'valid_from_us'],
    full_refresh=false,
    post_hook="{{ analyze_if_grown() }}",
    tags=['batch', 'as_it_stood'],
    indexes=[
        {'columns': ['device_id', 'valid_from_us'], 'unique': true},
        {'columns': ['valid_from_us']},
    ],
) }}

{%- set batch = current_batch() %}
{%- set period_us = baseline_period_us() %}
{%- set hour_us = seconds(3600) %}
{%- set week_us = seconds(7 * 86400) %}

with

due as (
    {{ due_snapshots(ref('stg_kafka__telemetry'), 'us', period_us, hour_us) }}
),

-- A machine that has been silent for an hour has no recent past to be compared with.
heard as (
    select due.* from due
    cross join lateral (
        select 1 as found from {{ ref('stg_kafka__telemetry') }} as sample
        where
            sample.device_id = due.device_id
            and sample.us > due.valid_from_us - {{ hour_us }}
            and sample.us <= due.valid_from_us
            and sample.supply_voltage_v is not null
            and sample.batch_id <= {{ batch.batch_id }}
        order by sample.us desc
        limit 1
    ) as of_the_hour
),

samples as (
    select
        heard.device_id,
        heard.valid_from_us,
        sample.supply_voltage_v,
        sample.boot_id,
        sample.us > heard.valid_from_us - {{ hour_us }} as in_hour,
        sample.boot_id = first_value(sample.boot_id) over (
            partition by heard.device_id, heard.valid_from_us
            order by sample.us desc, sample.epoch desc, sample."partition" desc, sample."offset" desc
        ) as in_boot
    from heard
    cross join lateral (
        select last_one.* from {{ ref('stg_kafka__telemetry') }} as last_one
        where
            last_one.device_id = heard.device_id
            and last_one.us > heard.valid_from_us - {{ trailing_span_us() }}
            and last_one.us <= heard.valid_from_us
            and last_one.supply_voltage_v is not null
            and last_one.batch_id <= {{ batch.batch_id }}
        order by last_one.us desc, last_one.epoch desc, last_one."partition" desc, last_one."offset" desc
        limit {{ threshold('trailing_samples') }}
    ) as sample
),

medians as (
    select
        device_id,
        valid_from_us,
        max(boot_id) filter (where in_boot) as boot_id,
        count(*) filter (where in_boot) as samples,
        percentile_cont(0.5) within group (order by supply_voltage_v) filter (where in_boot) as trailing_v,
        count(*) filter (where in_hour) as hour_samples,
        percentile_cont(0.5) within group (order by supply_voltage_v) filter (where in_hour) as hour_v
    from samples
    group by device_id, valid_from_us
),

fresh as (
    select
        medians.*,
        deviations.trailing_mad_v,
        deviations.hour_mad_v
    from medians
    inner join (
        select
            device_id,
            valid_from_us,
            percentile_cont(0.5) within group (order by abs(samples.supply_voltage_v - around.trailing_v))
            filter (where samples.in_boot) as trailing_mad_v,
            percentile_cont(0.5) within group (order by abs(samples.supply_voltage_v - around.hour_v))
            filter (where samples.in_hour) as hour_mad_v
        from samples
        inner join medians as around using (device_id, valid_from_us)
        group by device_id, valid_from_us
    ) as deviations using (device_id, valid_from_us)
),

-- The hour around, in the weeks before.
wanted as (
    select
        fresh.device_id,
        fresh.valid_from_us,
        fresh.valid_from_us + {{ 3 * period_us }} - {{ week_us }} * week.number as wanted_us
    from fresh
    cross join generate_series(1, {{ threshold('weeks') }}) as week (number)
),

hours as (
    {{ earlier_snapshots('wanted', ['hour_v', 'hour_mad_v', 'hour_samples']) }}
),

weekly as (
    select
        device_id,
        valid_from_us,
        percentile_cont(0.5) within group (order by hour_v) as weekly_v,
        percentile_cont(0.5) within group (order by hour_mad_v) as weekly_mad_v
    from hours
    where hour_samples >= {{ threshold('hour_samples') }}
    group by device_id, valid_from_us
    having count(*) >= {{ threshold('weeks_needed') }}
)

select
    fresh.device_id,
    fresh.valid_from_us,
    fresh.boot_id,
    fresh.samples,
    fresh.trailing_v,
    fresh.trailing_mad_v,
    fresh.hour_samples,
    fresh.hour_v,
    fresh.hour_mad_v,
    weekly.weekly_v,
    weekly.weekly_mad_v,
    {{ batch.batch_id }}::bigint as batch_id
from fresh
left join weekly using (device_id, valid_from_us)
