{#- Per opening of the door: 300 s later no sample has said that it is closed. -#}
{%- set open_us = seconds(300) %}
{%- set batch = current_batch() %}

with

openings as (
    select * from ({{ events_in_scope(ref('stg_kafka__telemetry'), 0, delay_us=open_us) }}) as in_scope
    where door_open
),

closings as (
    select * from ({{ events_in_scope(ref('stg_kafka__telemetry'), 0) }}) as in_scope
    where not door_open
),

turns as (
    select samples.*
    from (
        select * from openings
        union all
        select * from closings
    ) as samples
    left join lateral (
        select before.door_open from {{ ref('stg_kafka__telemetry') }} as before
        where
            before.device_id = samples.device_id
            and before.us <= samples.us
            and before.door_open is not null
            and before.batch_id <= {{ batch.batch_id }}
            and (before.us, before.epoch, before."partition", before."offset")
            < (samples.us, samples.epoch, samples."partition", samples."offset")
        order by before.us desc, before.epoch desc, before."partition" desc, before."offset" desc
        limit 1
    ) as was on true
    where samples.door_open is distinct from was.door_open
),

left_open as (
    select
        device_id,
        us as opened_us,
        us + {{ open_us }} as us,
        epoch,
        "partition",
        "offset",
        'breach' as verdict
    from turns
    where
        door_open
        and not exists (
            select 1 from {{ ref('stg_kafka__telemetry') }} as closed
            where
                closed.device_id = turns.device_id
                and not closed.door_open
                and closed.us >= turns.us
                and closed.us <= turns.us + {{ open_us }}
                and closed.batch_id <= {{ batch.batch_id }}
                and (closed.us, closed.epoch, closed."partition", closed."offset")
                > (turns.us, turns.epoch, turns."partition", turns."offset")
        )
),

closed as (
    select
        device_id,
        us as opened_us,
        us,
        epoch,
        "partition",
        "offset",
        'clear' as verdict
    from turns
    where not door_open
),

judged as (
    select * from left_open
    union all
    select * from closed
),

-- A door may turn more than once in an instant: the last time counts.
last_ones as (
    select distinct on (device_id, us) * from judged
    order by device_id, us, epoch desc, "partition" desc, "offset" desc
)

select
    device_id as subject,
    'device' as subject_kind,
    '' as component,
    opened_us as window_start_us,
    us as window_end_us,
    verdict,
    (us - opened_us) / 1000000.0::double precision as observed,
    {{ open_us // 1000000 }}::double precision as threshold,
    jsonb_build_array(
        jsonb_build_object(
            'topic', 'telemetry.raw', 'epoch', epoch, 'partition', "partition", 'offset', "offset"
        )
    ) as evidence
from last_ones
