{#-
From the registry: every device owes a beat within 3 × its interval of its last sign. Signs are its
beats, its commissioning, and the end of unmanaged work (nobody looked before).
-#}
{%- set batch = current_batch() %}
{%- set default_interval_s = 60 %}
{#- Three of the longest intervals that the contract allows. -#}
{%- set longest_wait_s = 3 * 86400 %}

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

last_beats as (
    select devices.device_id, last_beat.*
    from devices
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
),

work_ends as (
    select distinct registry.device_id, {{ to_us('work.ends_at') }} as us
    from registry
    inner join devices on registry.device_id = devices.device_id
    inner join {{ source('reference', 'maintenance_occurrences') }} as work
        on
            (work.scope = 'device' and work.subject = registry.device_id)
            or (work.scope = 'site' and work.subject = registry.site_id)
    where
        work.mode = 'unmanage'
        and work.ends_at <= {{ to_timestamp(batch.watermark_us) }}
        -- What ended earlier than the longest wait before the scope cannot reach into it.
        and work.ends_at > {{ to_timestamp('devices.from_us') }} - interval '{{ longest_wait_s }} seconds'
        and work.valid_from <= work.ends_at
        and work.valid_to > work.ends_at
        and work.ends_at >= registry.valid_from
        and work.ends_at < registry.valid_to
),

signs as (
    select *, true as is_beat from beats
    union all
    select *, true as is_beat from last_beats
    union all
    select
        starts.*,
        {{ default_interval_s }} as interval_s,
        null as epoch,
        null as "partition",
        null as "offset",
        false as is_beat
    from (
        select device_id, start_us as us from registry
        union all
        select device_id, us from work_ends
    ) as starts
),

-- Of simultaneous signs the last counts.
followed as (
    select
        *,
        us + {{ beat_allowance('interval_s') }} as due_us,
        lead(us) over (partition by device_id order by us, is_beat, epoch, "partition", "offset") as next_us
    from signs
),

silences as (
    select followed.*
    from followed
    inner join devices on followed.device_id = devices.device_id
    inner join registry
        on
            followed.device_id = registry.device_id
            and {{ valid_at('registry', 'followed.due_us') }}
            and registry.start_us < followed.due_us
            and (
                registry.decommissioned_at is null
                or registry.decommissioned_at > {{ to_timestamp('followed.due_us') }}
            )
    where
        (followed.next_us is null or followed.next_us > followed.due_us)
        and followed.due_us > devices.from_us
        and followed.due_us <= {{ batch.watermark_us }}
),

heard as (
    select followed.*
    from followed
    inner join devices on followed.device_id = devices.device_id
    where
        followed.is_beat
        and followed.us > devices.from_us
        and followed.next_us is distinct from followed.us
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
        due_us - us as allowed_us,
        is_beat,
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
