{#-
From the registry: every device owes a beat within 3 × its interval of its last sign, or what its own
gaps have taught. Signs are its beats, its commissioning, and the end of unmanaged work (nobody looked
before). Asked are only devices of which a sign can fall due in the batch: few, while all is well.
-#}
{%- set batch = current_batch() %}
{%- set default_interval_s = 60 %}
{#- After a beat with the longest interval that the contract allows. -#}
{%- set longest_wait_us = seconds(86400 * longest_intervals()) %}

with

registry as (
    select
        device_id,
        site_id,
        valid_from,
        valid_to,
        decommissioned_at,
        greatest(
            {{ to_us('commissioned_at') }},
            {{ to_us('min(valid_from) over (partition by device_id)') }},
            -- Of the time before the first record nothing is known, least of all silence.
            (
                select min(beats.beat_us) from {{ ref('stg_kafka__heartbeats') }} as beats
                where beats.batch_id = 1
            )
        ) as start_us
    from {{ source('reference', 'devices') }}
),

devices as (
    select distinct
        registry.device_id,
        coalesce(late.from_us, {{ batch.from_us }}) as from_us
    from registry
    left join {{ ref('int_batch_scope') }} as late
        on late.subject_kind = 'device' and registry.device_id = late.subject
    where registry.start_us <= {{ batch.watermark_us }}
),

beats as (
    select device_id, beat_us as us, interval_s, epoch, "partition", "offset"
    from ({{ events_in_scope(ref('stg_kafka__heartbeats'), 0, us='beat_us') }}) as in_scope
),

-- Up to where the device's scope begins. If more is known already (late events, an older batch, a table
-- that was made just now), heartbeats are asked.
last_beats as (
    select devices.device_id, seen.us, seen.interval_s, seen.epoch, seen."partition", seen."offset"
    from devices
    inner join {{ ref('last_seen') }} as seen on devices.device_id = seen.device_id
    where seen.topic = 'heartbeat.raw' and seen.us <= devices.from_us
    union all
    select devices.device_id, last_beat.*
    from devices
    inner join {{ ref('last_seen') }} as seen on devices.device_id = seen.device_id
    cross join lateral (
        select beat.beat_us as us, beat.interval_s, beat.epoch, beat."partition", beat."offset"
        from {{ ref('stg_kafka__heartbeats') }} as beat
        where
            beat.device_id = devices.device_id
            and beat.beat_us <= devices.from_us
            and beat.batch_id <= {{ batch.batch_id }}
        order by beat.beat_us desc, beat.epoch desc, beat."partition" desc, beat."offset" desc
        limit 1
    ) as last_beat
    where seen.topic = 'heartbeat.raw' and seen.us > devices.from_us
),

work_ends as (
    select subject, scope, valid_from, valid_to, ends_at
    from {{ source('reference', 'maintenance_occurrences') }}
    where
        mode = 'unmanage'
        and ends_at <= {{ to_timestamp(batch.watermark_us) }}
        and valid_from <= ends_at
        and valid_to > ends_at
),

starts as (
    select registry.device_id, registry.start_us as us
    from registry
    inner join devices on registry.device_id = devices.device_id
    {%- for scope, column in [('device', 'device_id'), ('site', 'site_id')] %}
    union
    select registry.device_id, {{ to_us('work_ends.ends_at') }} as us
    from registry
    inner join devices on registry.device_id = devices.device_id
    inner join work_ends on registry.{{ column }} = work_ends.subject
    where
        work_ends.scope = '{{ scope }}'
        -- What ended earlier than the longest wait before the scope cannot reach into it.
        and work_ends.ends_at > {{ to_timestamp('(devices.from_us - ' ~ longest_wait_us ~ ')') }}
        and work_ends.ends_at >= registry.valid_from
        and work_ends.ends_at < registry.valid_to
    {%- endfor %}
),

asked as (
    select starts.device_id
    from starts
    inner join devices on starts.device_id = devices.device_id
    where starts.us + {{ least_allowance(default_interval_s) }} > devices.from_us
    union
    select device_id from beats
    where us + {{ least_allowance('interval_s') }} <= {{ batch.watermark_us }}
    union
    select last_beats.device_id
    from last_beats
    inner join devices on last_beats.device_id = devices.device_id
    where
        last_beats.us + {{ least_allowance('last_beats.interval_s') }} <= {{ batch.watermark_us }}
        and last_beats.us + {{ most_allowance('last_beats.interval_s') }} > devices.from_us
),

signs as (
    select *, true as is_beat from beats
    where device_id in (select asked.device_id from asked)
    union all
    select *, true as is_beat from last_beats
    where device_id in (select asked.device_id from asked)
    union all
    select
        device_id,
        us,
        {{ default_interval_s }} as interval_s,
        null as epoch,
        null as "partition",
        null as "offset",
        false as is_beat
    from starts
    where device_id in (select asked.device_id from asked)
),

-- Of simultaneous signs the last counts.
followed as (
    select
        *,
        lead(us) over (partition by device_id order by us, is_beat, epoch, "partition", "offset") as next_us
    from signs
),

waited as (
    select
        *,
        us + case
            when is_beat then {{ beat_allowance('followed.device_id', 'followed.us', 'followed.interval_s') }}
            else {{ least_allowance('interval_s') }}
        end as due_us
    from followed
    where next_us is null or next_us > us + {{ least_allowance('interval_s') }}
),

silences as (
    select waited.*
    from waited
    inner join devices on waited.device_id = devices.device_id
    inner join registry
        on
            waited.device_id = registry.device_id
            and {{ valid_at('registry', 'waited.due_us') }}
            and registry.start_us < waited.due_us
            and (
                registry.decommissioned_at is null
                or registry.decommissioned_at > {{ to_timestamp('waited.due_us') }}
            )
    where
        (waited.next_us is null or waited.next_us > waited.due_us)
        and waited.due_us > devices.from_us
        and waited.due_us <= {{ batch.watermark_us }}
),

-- Of simultaneous beats the last counts.
heard as (
    select distinct on (beats.device_id, beats.us) beats.*
    from beats
    inner join devices on beats.device_id = devices.device_id
    where beats.us > devices.from_us
    order by beats.device_id, beats.us, beats.epoch desc, beats."partition" desc, beats."offset" desc
),

judged as (
    select
        device_id,
        us as window_start_us,
        due_us as window_end_us,
        'breach' as verdict,
        due_us - us as silent_us,
        due_us - us as allowed_us,
        is_beat,
        epoch,
        "partition",
        "offset"
    from silences
    union all
    select
        device_id,
        us as window_start_us,
        us as window_end_us,
        'clear' as verdict,
        0 as silent_us,
        {{ least_allowance('interval_s') }} as allowed_us,
        true as is_beat,
        epoch,
        "partition",
        "offset"
    from heard
)

select
    device_id as subject,
    'device' as subject_kind,
    '' as component,
    window_start_us,
    window_end_us,
    verdict,
    silent_us / 1000000.0::double precision as observed,
    allowed_us / 1000000.0::double precision as threshold,
    case
        when is_beat then jsonb_build_array(
            jsonb_build_object(
                'topic', 'heartbeat.raw', 'epoch', epoch, 'partition', "partition", 'offset', "offset"
            )
        )
        else '[]'::jsonb
    end as evidence
from judged
