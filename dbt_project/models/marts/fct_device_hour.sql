{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['device_id', 'hour'],
    indexes=[{'columns': ['device_id', 'hour'], 'unique': true}, {'columns': ['batch_id']}],
) }}

with

done as (
    select
        max(batch_id) as batch_id,
        max({{ to_us('watermark') }}) as watermark_us
    from {{ source('control', 'batches') }}
    where state = 'done'
),

-- Up to where the rows were built the last time; at first, nowhere.
built as (
{%- if is_incremental() %}
    select
        before.batch_id,
        {{ to_us('before.watermark') }} as watermark_us
    from {{ source('control', 'batches') }} as before
    where before.batch_id = (select max(this.batch_id) from {{ this }} as this)
    union all
{%- endif %}
    select
        0 as batch_id,
        (
            select min(beats.beat_us) from {{ ref('stg_kafka__heartbeats') }} as beats
            where beats.batch_id = 1
        ) as watermark_us
    order by 1 desc
    limit 1
),

telemetry as not materialized (
    select * from {{ ref('stg_kafka__telemetry') }}
),

beats as not materialized (
    select * from {{ ref('stg_kafka__heartbeats') }}
    where not spooled
),

alerts as not materialized (
    select * from {{ ref('stg_kafka__alerts') }}
    where state = 'raised'
),

registry as (
    select
        *,
        greatest(commissioned_at, min(valid_from) over (partition by device_id)) as started_at
    from {{ source('reference', 'devices') }}
),

-- Hours with new events, however late, and the hours that time has moved through.
touched as (
    select events.device_id, {{ hour_of('events.us') }} as hour
    from (
        select device_id, us, batch_id from telemetry
        union all
        select device_id, beat_us, batch_id from beats
        union all
        select device_id, us, batch_id from alerts
    ) as events
    cross join built
    cross join done
    where
        events.batch_id > built.batch_id
        and events.batch_id <= done.batch_id
        and events.us < done.watermark_us
    union
    select registry.device_id, hours.hour
    from registry
    cross join built
    cross join done
    cross join lateral generate_series(
        {{ hour_of('built.watermark_us') }}, {{ to_timestamp('done.watermark_us') }}, interval '1 hour'
    ) as hours (hour)
),

-- As of the hour: the last version of the registry row that was valid in it.
registered as (
    select distinct on (touched.device_id, touched.hour)
        touched.device_id,
        touched.hour,
        registry.site_id,
        tstzrange(touched.hour, least(touched.hour + interval '1 hour', {{ to_timestamp('done.watermark_us') }}))
        * tstzrange(registry.started_at, greatest(registry.decommissioned_at, registry.started_at)) as in_service
    from touched
    cross join done
    inner join registry
        on
            touched.device_id = registry.device_id
            and registry.valid_from < touched.hour + interval '1 hour'
            and registry.valid_to > touched.hour
    order by touched.device_id, touched.hour, registry.valid_from desc
),

in_service as (
    select
        registered.device_id,
        registered.hour,
        registered.site_id,
        coalesce(plan.work, '{}'::tstzmultirange) as work,
        registered.in_service::tstzmultirange - coalesce(plan.work, '{}'::tstzmultirange) as watched
    from registered
    left join lateral (
        select
            range_agg(tstzrange(
                greatest(maintenance.starts_at, maintenance.valid_from),
                least(maintenance.ends_at, maintenance.valid_to)
            )) as work
        from {{ source('reference', 'maintenance_occurrences') }} as maintenance
        where
            (
                (maintenance.scope = 'device' and maintenance.subject = registered.device_id)
                or (maintenance.scope = 'site' and maintenance.subject = registered.site_id)
            )
            and maintenance.starts_at < registered.hour + interval '1 hour'
            and maintenance.ends_at > registered.hour
            and maintenance.valid_from < maintenance.ends_at
            and maintenance.valid_to > maintenance.starts_at
    ) as plan on true
    where not isempty(registered.in_service)
),

bounded as (
    select
        in_service.*,
        {{ to_us('in_service.hour') }} as from_us,
        least({{ to_us('in_service.hour') }} + {{ seconds(3600) }}, done.watermark_us) as to_us,
        done.batch_id,
        (
            select coalesce(extract(epoch from sum(upper(stretch) - lower(stretch))), 0)
            from unnest(in_service.watched) as stretch
        ) as watched_s
    from in_service
    cross join done
),

measured as (
    select
        bounded.*,
        heard.beats,
        heard.beats_watched,
        coalesce(heard.interval_s, 60) as interval_s,
        sampled.coldest_c,
        sampled.mean_c,
        sampled.warmest_c,
        raised.alerts
    from bounded
    cross join lateral (
        select
            count(*) as beats,
            count(*) filter (where bounded.watched @> {{ to_timestamp('beats.beat_us') }}) as beats_watched,
            max(beats.interval_s) as interval_s
        from beats
        where
            beats.device_id = bounded.device_id
            and beats.beat_us >= bounded.from_us
            and beats.beat_us < bounded.to_us
            and beats.batch_id <= bounded.batch_id
    ) as heard
    cross join lateral (
        select
            min(telemetry.cabinet_temp_c) as coldest_c,
            avg(telemetry.cabinet_temp_c) as mean_c,
            max(telemetry.cabinet_temp_c) as warmest_c
        from telemetry
        where
            telemetry.device_id = bounded.device_id
            and telemetry.us >= bounded.from_us
            and telemetry.us < bounded.to_us
            and telemetry.batch_id <= bounded.batch_id
    ) as sampled
    cross join lateral (
        select count(*) as alerts
        from alerts
        where
            alerts.device_id = bounded.device_id
            and alerts.us >= bounded.from_us
            and alerts.us < bounded.to_us
            and alerts.batch_id <= bounded.batch_id
    ) as raised
),

expected as (
    select
        *,
        floor(watched_s / interval_s)::bigint as beats_expected
    from measured
)

select
    device_id,
    hour,
    site_id,
    beats as beats_received,
    beats_expected,
    least(1, beats_watched::double precision / nullif(beats_expected, 0)) as availability,
    coldest_c as cabinet_temp_min_c,
    mean_c as cabinet_temp_mean_c,
    warmest_c as cabinet_temp_max_c,
    alerts as alerts_raised,
    batch_id
from expected
