{#-
LAG(value, n) OVER (PARTITION BY key LIMIT DURATION(…)): an expression, the value of the n-th event
before this one; null where that is further back than the duration. Exactly so far back is within.

Evaluate it before a WHERE: a filter in the same query removes the events that it looks for.

    {{ lag_within('cabinet_temp_c', seconds(720), 'device_id', '"partition", "offset"', n=10) }} as earlier_c

Args:
    value: An expression on the earlier event.
    duration_us: How far back it may be.
    key: Columns that events are apart by; none for all together.
    order_by: Columns that order simultaneous events, as they arrived.
    n: How many events back.
    us: The column of event time.
-#}
{% macro lag_within(value, duration_us, key, order_by, n=1, us='us') -%}
    {%- set duration_us = checked_us('limit duration of lag', duration_us) -%}
    {%- set in_order -%}
        ({% if key %}partition by {{ key }} {% endif %}order by {{ us }}, {{ order_by }})
    {%- endset -%}
    case
        when {{ us }} - lag({{ us }}, {{ n }}) over {{ in_order }} <= {{ duration_us }}
            then lag({{ value }}, {{ n }}) over {{ in_order }}
    end
{%- endmacro %}
