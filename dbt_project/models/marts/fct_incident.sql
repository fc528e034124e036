{{ config(materialized='table') }}

with

incidents as (
    select * from {{ source('ticketing', 'incidents') }}
),

transitions as (
    select * from {{ ref('transitions') }}
),

episodes as (
    select * from {{ ref('episodes') }}
),

-- The one that a ticket came of: not what withheld it.
openings as (
    select distinct on (episode_id) * from transitions
    where kind in ('open', 'reopen', 'update')
    order by episode_id, transition_no
),

records as (
    select 'telemetry.raw' as topic, epoch, "partition", "offset", us from {{ ref('stg_kafka__telemetry') }}
    union all
    select 'heartbeat.raw' as topic, epoch, "partition", "offset", us from {{ ref('stg_kafka__heartbeats') }}
    union all
    select 'alerts.raw' as topic, epoch, "partition", "offset", us from {{ ref('stg_kafka__alerts') }}
),

first_evidence as (
    select
        openings.episode_id,
        min(records.us) as us
    from openings
    inner join incidents on openings.episode_id = incidents.episode_id
    cross join lateral jsonb_to_recordset(openings.evidence) as witness (
        topic text, epoch integer, "partition" integer, "offset" bigint
    )
    inner join records
        on
            witness.topic = records.topic
            and witness.epoch = records.epoch
            and witness."partition" = records."partition"
            and witness."offset" = records."offset"
    group by openings.episode_id
),

timed as (
    select
        incidents.number,
        incidents.sys_id,
        incidents.episode_id::text as episode_id,
        incidents.dedupe_key,
        openings.rule_id,
        openings.rule_version,
        openings.severity,
        openings.device_id,
        openings.site_id,
        openings.assignment_group,
        case incidents.state
            when 1 then 'new'
            when 2 then 'in progress'
            when 3 then 'on hold'
            when 6 then 'resolved'
            when 7 then 'closed'
            when 8 then 'canceled'
        end as state,
        -- A machine that was never seen has no record to show: its silence begins with the window.
        coalesce({{ to_timestamp('first_evidence.us') }}, openings.window_start) as first_evidence_at,
        openings.at as breached_at,
        openings.decided_at as detected_at,
        incidents.opened_at,
        episodes.resolved_at as cleared_at,
        incidents.resolved_at
    from incidents
    inner join openings on incidents.episode_id = openings.episode_id
    inner join episodes on incidents.episode_id = episodes.episode_id
    left join first_evidence on incidents.episode_id = first_evidence.episode_id
)

select
    *,
    extract(epoch from breached_at - first_evidence_at)::double precision as evidence_to_breach_s,
    extract(epoch from detected_at - breached_at)::double precision as breach_to_detection_s,
    extract(epoch from opened_at - detected_at)::double precision as detection_to_opening_s,
    extract(epoch from resolved_at - opened_at)::double precision as opening_to_resolution_s
from timed
