{#-
ISFIRST(…) OVER (PARTITION BY key WHEN condition): an expression, whether the event is the first of its
tumbling window that fulfils the condition.

Evaluate it before a WHERE: a filter in the same query makes another event the first.

    {{ is_first(seconds(600), 'device_id', '"partition", "offset"', "code = 'COIN_JAM'") }} as opens_the_window

Args:
    size_us: Size of the tumbling windows.
    key: Columns that events are apart by; none for all together.
    order_by: Columns that order simultaneous events, as they arrived.
    condition: Which events count; by default all.
    us: The column of event time.
-#}
{% macro is_first(size_us, key, order_by, condition='true', us='us') -%}
    {%- set size_us = checked_us('interval of isfirst', size_us) -%}
    (
        ({{ condition }}) is true
        and row_number() over (
            partition by {% if key %}{{ key }}, {% endif %}{{ window_end(us, size_us) }}, ({{ condition }}) is true
            order by {{ us }}, {{ order_by }}
        ) = 1
    )
{%- endmacro %}
