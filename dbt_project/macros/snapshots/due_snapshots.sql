{#-
Learned values are dated snapshots: what a device's events up to an instant say, valid for the period
after it, `(valid_from_us, valid_from_us + period]`. Nobody's own clock or batch decides when one is
taken: the instants are multiples of the period, moved by the device's own phase. So each batch takes
those of a few devices, and a replay, or another cut of the log, takes the same.

`due_snapshots` returns the batch's: device_id and valid_from_us, of registered devices. A device with
late events takes all again that these may have touched, if it has events that they would sum up.

Args:
    relation: A staging model.
    us: Its column of event time.
    period_us: The period, a multiple of ten seconds.
    span_us: A snapshot is of use only where there is an event in so long before it.
-#}
{% macro due_snapshots(relation, us, period_us, span_us) %}
    {%- set batch = current_batch() %}
    {#- A batch of hours, as is the first, takes all of them from its events, as for devices with late ones. -#}
    {%- set by_the_clock = batch.watermark_us - batch.from_us <= span_us %}
    {%- if by_the_clock %}
    select
        registered.device_id,
        ends.us as valid_from_us
    from (
        select
            device_id,
            {{ next_snapshot(batch.from_us, snapshot_phase('device_id', period_us), period_us) }} as first_us
        from {{ source('reference', 'devices') }}
        group by device_id
    ) as registered
    cross join lateral generate_series(registered.first_us, {{ batch.watermark_us }}, {{ period_us }}) as ends (us)
    where
        registered.first_us <= {{ batch.watermark_us }}
        and not exists (
            select 1 from {{ ref('int_batch_scope') }} as late
            where late.subject_kind = 'device' and late.subject = registered.device_id
        )
    union all
    {%- endif %}
    select distinct
        asked.device_id,
        ends.us as valid_from_us
    from (
        select
            registered.device_id,
            coalesce(late.from_us, {{ batch.from_us }}) as from_us,
            {{ snapshot_phase('registered.device_id', period_us) }} as phase_us
        from {{ source('reference', 'devices') }} as registered
        {{ 'inner' if by_the_clock else 'left' }} join {{ ref('int_batch_scope') }} as late
            on late.subject_kind = 'device' and registered.device_id = late.subject
    ) as asked
    inner join {{ relation }} as events
        on
            asked.device_id = events.device_id
            and events.{{ us }} > asked.from_us - {{ span_us }}
            and events.{{ us }} <= {{ batch.watermark_us }}
            and events.batch_id <= {{ batch.batch_id }}
    cross join lateral generate_series(
        {{ next_snapshot('greatest(events.' ~ us ~ ' - 1, asked.from_us)', 'asked.phase_us', period_us) }},
        least(events.{{ us }} + {{ span_us - 1 }}, {{ batch.watermark_us }}),
        {{ period_us }}
    ) as ends (us)
{% endmacro %}


{#- The first snapshot of a device after an instant. -#}
{% macro next_snapshot(us, phase_us, period_us) -%}
    (({{ us }} - {{ phase_us }} + {{ period_us }}) / {{ period_us }} * {{ period_us }} + {{ phase_us }})
{%- endmacro %}


{#- Where in the period a device's snapshots lie: whole tens of seconds, spread by its name. -#}
{% macro snapshot_phase(device_id, period_us) -%}
    (('x' || left(md5({{ device_id }}), 8))::bit(32)::bigint % {{ period_us // 10000000 }} * 10000000)
{%- endmacro %}
