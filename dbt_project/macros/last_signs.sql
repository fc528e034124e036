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


{#- Where the batch before began: a literal, by which the planner takes the index on time. -#}
{% macro from_us_of_batch_before() -%}
    {%- if not execute -%}
        {{ return(earliest_us()) }}
    {%- endif -%}
    {%- set rows = run_query(
        'select ' ~ to_us('from_watermark') ~ '::text from ' ~ source('control', 'batches')
        ~ ' where batch_id = ' ~ (current_batch().batch_id - 1)
    ).rows -%}
    {{ return(rows[0][0] | int if rows else earliest_us()) }}
{%- endmacro %}


{#- Rows that are updated again and again are updated in their own page. Set once: it takes a lock. -#}
{% macro leave_room_for_updates() %}
    do $$
    begin
        if (select reloptions from pg_catalog.pg_class where oid = '{{ this }}'::regclass) is null then
            alter table {{ this }} set (fillfactor = 50);
        end if;
    end
    $$
{% endmacro %}
