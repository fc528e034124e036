{#-
From the registry: every device owes a beat within 3 × its interval of its last sign, or what its own
gaps have taught. Signs are its beats, its commissioning, and the end of unmanaged work (nobody looked
before). Asked are only devices of which a sign can fall due in the batch: few, while all is well.
-#}
{%- set batch = current_batch() %}
{%- set default_interval_s = 60 %}
{#- After a beat with the longest interval that the contract allows. -#}
{%- set default_wait_us = seconds(3 * default_interval_s) %}
{%- set longest_wait_us = seconds(86400 * longest_intervals()) %}

with

beats as (
    select device_id, beat_us as us, interval_s, epoch, "partition", "offset"
    from ({{ events_in_scope(ref('stg_kafka__heartbeats'), 0, us='beat_us') }}) as in_scope
),

-- Of the time before the first record nothing is known, least of all silence.
known as (
    select coalesce(min(first_beats.beat_us), {{ earliest_us() }}) as from_us
    from {{ ref('stg_kafka__heartbeats') }} as first_beats
    where first_beats.batch_id = 1
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

late as (
    select subject as device_id, from_us from {{ ref('int_batch_scope') }}
    where subject_kind = 'device'
),

-- Whatever a sign may be, it falls due by three of its intervals at the earliest.
asked as (
    select device_id from late
    union
    select device_id from beats
    where us + {{ least_allowance('interval_s') }} <= {{ batch.watermark_us }}
    union
    select seen.device_id from {{ ref('last_seen') }} as seen
    where
        seen.topic = 'heartbeat.raw'
        and (
            seen.us > {{ batch.from_us }}
            or (
                seen.us + {{ least_allowance('seen.interval_s') }} <= {{ batch.watermark_us }}
                and seen.us + {{ most_allowance('seen.interval_s') }} > {{ batch.from_us }}
            )
        )
    union
    select begun.device_id from {{ source('reference', 'devices') }} as begun
    where
        greatest(
            begun.commissioned_at, begun.valid_from, {{ to_timestamp('(select known.from_us from known)') }}
        ) > {{ to_timestamp(batch.from_us - default_wait_us) }}
    {%- for scope, column in [('device', 'device_id'), ('site', 'site_id')] %}
    union
    select managed.device_id
    from work_ends
    inner join {{ source('reference', 'devices') }} as managed on work_ends.subject = managed.{{ column }}
    where
        work_ends.scope = '{{ scope }}'
        and work_ends.ends_at > {{ to_timestamp(batch.from_us - default_wait_us) }}
    {%- endfor %}
),

registry as (
    select
        of_all.device_id,
        of_all.site_id,
        of_all.valid_from,
        of_all.valid_to,
        of_all.decommissioned_at,
        greatest(
            {{ to_us('of_all.commissioned_at') }},
            {{ to_us('min(of_all.valid_from) over (partition by of_all.device_id)') }},
            known.from_us
        ) as start_us
    from asked
    inner join {{ source('reference', 'devices') }} as of_all on asked.device_id = of_all.device_id
    cross join known
),

devices as (
    select distinct
        registry.device_id,
        coalesce(late.from_us, {{ batch.from_us }}) as from_us
    from registry
    left join late on registry.device_id = late.device_id
    where registry.start_us <= {{ batch.watermark_us }}
),

-- Up to where the device's scope begins. If more is known already (late events, an older batch, a table
-- that was made just now), heartbeats are asked.
last_beats as (
    select devices.device_id, last_beat.*
    from devices
    inner join {{ ref('last_seen') }} as seen on devices.device_id = seen.device_id
    cross join lateral (
        select seen.us, seen.interval_s, seen.epoch, seen."partition", seen."offset"
        where seen.us <= devices.from_us
        union all
        (
            select beat.beat_us, beat.interval_s, beat.epoch, beat."partition", beat."offset"
            from {{ ref('stg_kafka__heartbeats') }} as beat
            where
                seen.us > devices.from_us
                and beat.device_id = devices.device_id
                and beat.beat_us <= devices.from_us
                and beat.batch_id <= {{ batch.batch_id }}
            order by beat.beat_us desc, beat.epoch desc, beat."partition" desc, beat."offset" desc
            limit 1
        )
    ) as last_beat
    where seen.topic = 'heartbeat.raw'
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

signs as (
    select *, true as is_beat from beats
    where device_id in (select devices.device_id from devices)
    union all
    select *, true as is_beat from last_beats
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
            and {{ in_operation('registry', 'waited.due_us') }}
            and registry.start_us < waited.due_us
    where
        (waited.next_us is null or waited.next_us > waited.due_us)
        and waited.due_us > devices.from_us
        and waited.due_us <= {{ batch.watermark_us }}
),

-- Of simultaneous beats the last counts.
heard as (
    select distinct on (device_id, us) * from beats
    order by device_id, us, epoch desc, "partition" desc, "offset" desc
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
