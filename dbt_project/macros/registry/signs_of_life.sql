{#-
The times, `us`, at which a device was last heard of in (from, to], by each kind of sign: a record, at its
own time; what a spool or a wrong clock brings, at its arrival.

Args:
    device, from_us, to_us: SQL.
-#}
{% macro signs_of_life(device, from_us, to_us) %}
    {%- for relation, us, counted in [
        (ref('stg_kafka__heartbeats'), 'beat_us', none),
        (ref('stg_kafka__telemetry'), 'us', 'not sign.spooled'),
        (ref('stg_kafka__alerts'), 'us', 'not sign.spooled'),
        (ref('int_signs_at_arrival'), 'us', none),
    ] %}
    {{ 'union all' if not loop.first }}
    (select sign.{{ us }} as us from {{ relation }} as sign
    where
        sign.device_id = {{ device }}
        and sign.{{ us }} > {{ from_us }}
        and sign.{{ us }} <= {{ to_us }}
        {{ 'and ' ~ counted if counted }}
        and sign.batch_id <= {{ current_batch().batch_id }}
    order by sign.{{ us }} desc
    limit 1)
    {%- endfor %}
{% endmacro %}
