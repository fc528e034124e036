{#-
The batch's hopping windows (e - size, e]: each event, or pane, once for each of them that it lies in,
as `window_end_us`.

As `hopping_windows` over `events_in_scope`, but only windows that the batch evaluates are made: of the
many that an event is in, one or two; mostly one, which then is a literal. A long window is a sum of
panes: few rows a device.

Args:
    relation: A staging model, or a model of panes whose size divides both others.
    size_us: Size of the window.
    hop_us: Distance of two windows' ends.
    us: The column of event time, or of the pane's end.
-#}
{% macro hops_in_scope(relation, size_us, hop_us, us) %}
    {%- set batch = current_batch() %}
    {%- set end_us = batch.watermark_us // hop_us * hop_us %}
    {%- if batch.from_us // hop_us + 1 == batch.watermark_us // hop_us %}
    select
        events.*,
        {{ end_us }}::bigint as window_end_us
    from ({{ punctual_events(relation, size_us, us=us, hop_us=hop_us) }}) as events
    where events.{{ us }} > {{ end_us - size_us }}
    union all
    {{ each_hop(late_events(relation, size_us, us=us, hop_us=hop_us), size_us, hop_us, us) }}
    {%- else %}
    {{ each_hop(events_in_scope(relation, size_us, us=us, hop_us=hop_us), size_us, hop_us, us) }}
    {%- endif %}
{% endmacro %}


{% macro each_hop(events, size_us, hop_us, us) %}
    select
        events.*,
        ends.window_end_us
    from ({{ events }}) as events
    cross join lateral generate_series(
        greatest(
            (events.{{ us }} + {{ hop_us - 1 }}) / {{ hop_us }},
            events.scope_from_us / {{ hop_us }} + 1
        ) * {{ hop_us }},
        least(events.{{ us }} + {{ size_us - 1 }}, {{ current_batch().watermark_us }}),
        {{ hop_us }}
    ) as ends (window_end_us)
{% endmacro %}


{#- Size of a pane. -#}
{% macro pane_us() -%}
    {{ return(300000000) }}
{%- endmacro %}
