{#- Start of the hour (UTC) that holds an instant. -#}
{% macro hour_of(us) -%}
    date_trunc('hour', {{ to_timestamp(us) }}, 'UTC')
{%- endmacro %}
