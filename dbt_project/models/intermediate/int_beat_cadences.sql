{{ config(
    materialized='incremental',
    incremental_strategy='replace',
    unique_key=['device_id', 'valid_from_us'],
    full_refresh=false,
    post_hook="{{ analyze_if_grown() }}",
    tags=['batch', 'as_it_stood'],
    indexes=[{'columns': ['device_id', 'valid_from_us'], 'unique': true}],
) }}

{%- set batch = current_batch() %}
{%- set day_us = cadence_period_us() %}
{#- No gap that teaches is longer, as no interval is longer than a day. -#}
{%- set longest_us = day_us * longest_intervals() %}

with

due as (
    {{ due_snapshots(ref('stg_kafka__heartbeats'), 'beat_us', day_us, day_us) }}
),

-- The day's beats, and the one before: of simultaneous ones the last.
beats as (
    select due.device_id, due.valid_from_us, beat.us, beat.interval_s, beat.in_day
    from due
    cross join lateral (
        select distinct on (of_day.beat_us) of_day.beat_us as us, of_day.interval_s, true as in_day
        from {{ ref('stg_kafka__heartbeats') }} as of_day
        where
            of_day.device_id = due.device_id
            and of_day.beat_us > due.valid_from_us - {{ day_us }}
            and of_day.beat_us <= due.valid_from_us
            and of_day.batch_id <= {{ batch.batch_id }}
        order by of_day.beat_us, of_day.epoch desc, of_day."partition" desc, of_day."offset" desc
    ) as beat
    union all
    select due.device_id, due.valid_from_us, before.beat_us as us, before.interval_s, false as in_day
    from due
    cross join lateral (
        select earlier.beat_us, earlier.interval_s from {{ ref('stg_kafka__heartbeats') }} as earlier
        where
            earlier.device_id = due.device_id
            and earlier.beat_us <= due.valid_from_us - {{ day_us }}
            and earlier.batch_id <= {{ batch.batch_id }}
        order by earlier.beat_us desc, earlier.epoch desc, earlier."partition" desc, earlier."offset" desc
        limit 1
    ) as before
),

gaps as (
    select
        device_id,
        valid_from_us,
        us,
        in_day,
        lag(us) over in_order as before_us,
        lag(interval_s) over in_order as interval_s
    from beats
    window in_order as (partition by device_id, valid_from_us order by us)
),

work as (
    select distinct
        due.device_id,
        {{ to_us('planned.starts_at') }} as starts_us,
        {{ to_us('planned.ends_at') }} as ends_us
    from due
    inner join {{ source('reference', 'devices') }} as registered on due.device_id = registered.device_id
    inner join {{ source('reference', 'maintenance_occurrences') }} as planned
        on
            (planned.scope = 'device' and planned.subject = registered.device_id)
            or (planned.scope = 'site' and planned.subject = registered.site_id)
    where
        planned.mode = 'unmanage'
        and planned.starts_at < {{ to_timestamp('due.valid_from_us') }}
        and planned.ends_at > {{ to_timestamp('(due.valid_from_us - ' ~ (day_us + longest_us) ~ ')') }}
        and planned.valid_from <= planned.ends_at
        and planned.valid_to > planned.ends_at
        and planned.ends_at >= registered.valid_from
        and planned.ends_at < registered.valid_to
),

-- A gap too long is an outage, and in unmanaged work somebody pulled the plug: neither is a habit.
teaching as (
    select
        device_id,
        valid_from_us,
        us - before_us as gap_us,
        us - before_us > {{ least_allowance('interval_s') }} as is_long
    from gaps
    where
        in_day
        and us - before_us <= {{ most_allowance('interval_s') }}
        and not exists (
            select 1 from work
            where
                work.device_id = gaps.device_id
                and work.starts_us < gaps.us
                and work.ends_us > gaps.before_us
        )
),

fresh as (
    select
        days.device_id,
        days.valid_from_us,
        count(teaching.gap_us) as gaps,
        coalesce(
            jsonb_agg(teaching.gap_us order by teaching.gap_us desc)
            filter (where teaching.is_long),
            '[]'::jsonb
        ) as long_gaps_us
    from (
        select distinct device_id, valid_from_us from beats
        where in_day
    ) as days
    left join teaching using (device_id, valid_from_us)
    group by days.device_id, days.valid_from_us
),

wanted as (
    select
        fresh.device_id,
        fresh.valid_from_us,
        fresh.valid_from_us - {{ day_us }} * day.number as wanted_us
    from fresh
    cross join generate_series(0, {{ threshold('days') - 1 }}) as day (number)
),

days as (
    {{ earlier_snapshots('wanted', ['gaps', 'long_gaps_us']) }}
),

-- Of all gaps so many are longer than the 99.9th percentile.
ranked as (
    select
        device_id,
        valid_from_us,
        sum(gaps)::bigint / 1000 as longer_gaps
    from days
    where gaps > 0
    group by device_id, valid_from_us
    having count(*) >= {{ threshold('days_needed') }} and sum(gaps) >= {{ threshold('gaps_needed') }}
),

learned as (
    select ranked.device_id, ranked.valid_from_us, percentile.gap_us as learned_us
    from ranked
    cross join lateral (
        select long_gap.us::bigint as gap_us
        from days
        cross join lateral jsonb_array_elements_text(days.long_gaps_us) as long_gap (us)
        where days.device_id = ranked.device_id and days.valid_from_us = ranked.valid_from_us
        order by long_gap.us::bigint desc
        limit 1
        offset ranked.longer_gaps
    ) as percentile
)

select
    fresh.device_id,
    fresh.valid_from_us,
    fresh.gaps,
    fresh.long_gaps_us,
    learned.learned_us,
    {{ batch.batch_id }}::bigint as batch_id
from fresh
left join learned using (device_id, valid_from_us)
