{#-
Sliding(S): for each key the windows (p - S, p] whose content changes at p: where an event enters (its
time) and where one leaves (S later). Simultaneous events give one row, an empty window none.

Rows: the key, window_start_us, window_end_us, `events` (how many) and the measures.

    select device_id, window_end_us, events, warmest_c
    from ({{ sliding_windows('samples', 'device_id', seconds(600), {'warmest_c': 'max(cabinet_temp_c)'}) }}) as slid
    where events >= 3

Args:
    relation: Events; a relation, a CTE's name, or a query in parentheses.
    key: Columns that windows are apart by, as in a group by; none for all events together.
    size_us: S.
    measures: Aggregates of the window's events by name.
    empty: Whether a window that the last event has left gives a row.
    us: The column of event time.
-#}
{% macro sliding_windows(relation, key, size_us, measures={}, empty=false, us='us') -%}
    {%- set size_us = checked_us('size of a sliding window', size_us) -%}
    select distinct
        {% if key %}{{ key }},{% endif %}
        point_us - {{ size_us }} as window_start_us,
        point_us as window_end_us,
        events
        {%- for name in measures %},
        {{ name }}
        {%- endfor %}
    from (
        select
            {% if key %}{{ key }},{% endif %}
            point_us,
            count(*) filter (where enters) over held as events
            {%- for name, aggregate in measures.items() %},
            {{ aggregate }} filter (where enters) over held as {{ name }}
            {%- endfor %}
        from (
            select entries.*, entries.{{ us }} as point_us, true as enters from {{ relation }} as entries
            union all
            select exits.*, exits.{{ us }} + {{ size_us }} as point_us, false as enters from {{ relation }} as exits
        ) as points
        -- RANGE includes both of its ends.
        window held as (
            {% if key %}partition by {{ key }}{% endif %} order by point_us
            range between {{ size_us - 1 }} preceding and current row
        )
    ) as changes
    {%- if not empty %}
    where events > 0
    {%- endif %}
{%- endmacro %}
