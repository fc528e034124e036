{#-
Snapshot: each event with the window of the events that have its time, to the microsecond.

Rows: those of `relation`, with window_start_us and window_end_us.

    select window_end_us, count(*)
    from ({{ snapshot_windows('alerts') }}) as windowed
    group by window_end_us

Args:
    relation: Events; a relation, a CTE's name, or a query in parentheses.
    us: The column of event time.
-#}
{% macro snapshot_windows(relation, us='us') -%}
    select
        events.*,
        events.{{ us }} - 1 as window_start_us,
        events.{{ us }} as window_end_us
    from {{ relation }} as events
{%- endmacro %}
