{#-
A topic's signs of life of which `last_seen` does not know yet: of events up to the watermark before, late
ones included. When it is made for the first time, all there are.

Args:
    topic: The topic.
    relation: Its staging model.
    us: The column of event time.
    sign_us: When an event proves life.
    interval_s: The promise of the next one, in heartbeats.
-#}
{% macro last_signs(topic, relation, us, sign_us, interval_s='null::integer') %}
    {%- set batch = current_batch() %}
    {%- set columns -%}
        select
            device_id,
            '{{ topic }}' as topic,
            {{ sign_us }} as us,
            {{ interval_s }} as interval_s,
            epoch,
            "partition",
            "offset"
        from {{ relation }}
    {%- endset %}
    {{ columns }}
    {%- if is_incremental() %}
    where
        {{ us }} > {{ from_us_of_batch_before() }}
        and {{ us }} <= {{ batch.from_us }}
        and batch_id < {{ batch.batch_id }}
    union all
    {{ columns }}
    where batch_id = {{ batch.batch_id }} and {{ us }} <= {{ batch.from_us }}
    {%- endif %}
{% endmacro %}
