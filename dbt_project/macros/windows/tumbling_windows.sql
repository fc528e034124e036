{#-
Tumbling(S): each event with its window (e - S, e], e a multiple of S.

Rows: those of `relation`, with window_start_us and window_end_us.

    select device_id, window_end_us, count(*)
    from ({{ tumbling_windows('samples', seconds(300)) }}) as windowed
    group by device_id, window_end_us

Args:
    relation: Events; a relation, a CTE's name, or a query in parentheses.
    size_us: S.
    us: The column of event time.
-#}
{% macro tumbling_windows(relation, size_us, us='us') -%}
    {%- set size_us = checked_us('size of a tumbling window', size_us) -%}
    select
        events.*,
        {{ window_end('events.' ~ us, size_us) }} - {{ size_us }} as window_start_us,
        {{ window_end('events.' ~ us, size_us) }} as window_end_us
    from {{ relation }} as events
{%- endmacro %}
