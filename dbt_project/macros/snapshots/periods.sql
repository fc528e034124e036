{#- How long a baseline of the supply voltage is valid. -#}
{% macro baseline_period_us() -%}
    {{ return(900000000) }}
{%- endmacro %}


{#- How far back the last samples of a baseline may lie: without a sensor there are none, however far. -#}
{% macro trailing_span_us() -%}
    {{ return(43200000000) }}
{%- endmacro %}


{#- How long a learned cadence is valid. -#}
{% macro cadence_period_us() -%}
    {{ return(86400000000) }}
{%- endmacro %}


{#- A gap of more intervals is an outage: it teaches no cadence, and no cadence waits for longer. -#}
{% macro longest_intervals() -%}
    {{ return(10) }}
{%- endmacro %}
