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
