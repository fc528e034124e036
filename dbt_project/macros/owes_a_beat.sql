{#-
A predicate: the device is silent at that instant, or has sent but one beat since it was: rule 2 is
open. Silent is a device whose last sign is as old as rule 2 allows. Its first sign is its registration:
what it sent before does not count.
-#}
{% macro owes_a_beat(device, us) -%}
    (
        select
            case
                when last_beat.beat_us >= registered.start_us
                    then
                        {{ us }} >= last_beat.beat_us + last_beat.allowed_us
                        or last_beat.beat_us > case
                            when before.beat_us >= registered.start_us then before.beat_us + before.allowed_us
                            else registered.start_us + {{ least_allowance(60) }}
                        end
                else {{ us }} >= registered.start_us + {{ least_allowance(60) }}
            end
        from ({{ _registered_at(device, us) }}) as registered
        left join lateral ({{ _beat_before(device, us, '<=') }}) as last_beat on true
        left join lateral ({{ _beat_before(device, 'last_beat.beat_us', '<') }}) as before on true
    )
{%- endmacro %}


{#- When rule 2 begins to expect beats. -#}
{% macro _registered_at(device, us) %}
    select
        greatest(
            {{ to_us('version.commissioned_at') }},
            (
                select min({{ to_us('versions.valid_from') }})
                from {{ source('reference', 'devices') }} as versions
                where versions.device_id = version.device_id
            ),
            (
                select min(beats.beat_us) from {{ ref('stg_kafka__heartbeats') }} as beats
                where beats.batch_id = 1
            )
        ) as start_us
    from {{ source('reference', 'devices') }} as version
    where version.device_id = {{ device }} and {{ valid_at('version', us) }}
{% endmacro %}


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
