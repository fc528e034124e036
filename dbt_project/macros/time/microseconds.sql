{#- A timestamp as integer microseconds since 1970; what a bigint or a payload cannot hold is clamped
    to the years 1 to 9999, -infinity and infinity included. -#}
{% macro to_us(timestamp) -%}
    (extract(epoch from greatest(least({{ timestamp }}, '9999-12-31 23:59:59.999999+00'::timestamptz), '0001-01-01 00:00:00+00'::timestamptz)) * 1000000)::bigint
{%- endmacro %}


{#- The inverse; exact, because neither factor exceeds what a double holds. -#}
{% macro to_timestamp(us) -%}
    ('1970-01-01 00:00:00+00'::timestamptz + ({{ us }} / 1000000) * interval '1 second' + ({{ us }} % 1000000) * interval '1 microsecond')
{%- endmacro %}


{#- to_us of -infinity: before everything. -#}
{% macro earliest_us() -%}
    {{ return(-62135596800000000) }}
{%- endmacro %}


{% macro seconds(n) -%}
    {{ return((n * 1000000) | int) }}
{%- endmacro %}
