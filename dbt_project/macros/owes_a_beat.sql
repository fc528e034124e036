{#-
A predicate: the device is silent at that instant, or has sent but one beat since it was: rule 2 is
open. Silent is a device whose last beat is as old as rule 2 allows, or that never sent one.
-#}
{% macro owes_a_beat(device, us) -%}
    coalesce((
        select
            {{ us }} >= last_beat.beat_us + last_beat.allowed_us
            or last_beat.beat_us > before.beat_us + before.allowed_us
        from ({{ _beat_before(device, us, '<=') }}) as last_beat
        left join lateral ({{ _beat_before(device, 'last_beat.beat_us', '<') }}) as before on true
    ), not exists ({{ _beat_before(device, us, '<=') }}))
{%- endmacro %}


{% macro _beat_before(device, us, operator) %}
    select
        beat.beat_us,
        {{ beat_allowance('beat.device_id', 'beat.beat_us', 'beat.interval_s') }} as allowed_us
    from {{ ref('stg_kafka__heartbeats') }} as beat
    where
        beat.device_id = {{ device }}
        and beat.beat_us {{ operator }} {{ us }}
        and beat.batch_id <= {{ current_batch().batch_id }}
    order by beat.beat_us desc, beat.epoch desc, beat."partition" desc, beat."offset" desc
    limit 1
{% endmacro %}
