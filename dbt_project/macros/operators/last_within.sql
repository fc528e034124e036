{#-
LAST(value) OVER (PARTITION BY key LIMIT DURATION(…) WHEN condition): events with a column more, the
value of the last event that fulfils the condition, this one included; null where that is further back
than the duration, or there is none.

Rows: those of `relation`, with the column, and `matches`, from which it follows.

    select * from ({{ last_within(
        'samples', 'us', 'last_closed_us', seconds(300), 'device_id', '"partition", "offset"', 'not door_open'
    ) }}) as looked_back

Args:
    relation: Events; a relation, a CTE's name, or a query in parentheses.
    value: An expression on the event that is found.
    name: The column's name.
    duration_us: How far back it may be; exactly so far back is within.
    key: Columns that events are apart by; none for all together.
    order_by: Columns that order simultaneous events, as they arrived.
    condition: Which events count.
    us: The column of event time.
-#}
{% macro last_within(relation, value, name, duration_us, key, order_by, condition, us='us') -%}
    {%- set duration_us = checked_us('limit duration of last', duration_us) -%}
    select
        matched.*,
        case
            when matches > 0 and {{ us }} - first_value({{ us }}) over since <= {{ duration_us }}
                then first_value({{ value }}) over since
        end as {{ name }}
    from (
        select
            events.*,
            count(*) filter (where {{ condition }}) over (
                {% if key %}partition by {{ key }} {% endif %}order by {{ us }}, {{ order_by }} rows unbounded preceding
            ) as matches
        from {{ relation }} as events
    ) as matched
    window since as (partition by {% if key %}{{ key }}, {% endif %}matches order by {{ us }}, {{ order_by }})
{%- endmacro %}
