{#-
The batch's hopping windows (e - size, e]: each event, or pane, once for each of them that it lies in,
as `window_end_us`.

As `hopping_windows` over `events_in_scope`, but only windows that the batch evaluates are made: of the
many that an event is in, one or two. A long window is a sum of panes: few rows a device.

Args:
    relation: A staging model, or a model of panes whose size divides both others.
    size_us: Size of the window.
    hop_us: Distance of two windows' ends.
    us: The column of event time, or of the pane's end.
-#}
{% macro hops_in_scope(relation, size_us, hop_us, us) %}
    {%- set batch = current_batch() %}
    select
        events.*,
        ends.window_end_us
    from ({{ punctual_events(relation, size_us, us, hop_us) }}) as events
    -- The same few ends for all: comparing costs a tenth of a series for each event. The first batch
    -- goes back for ever, so there they begin with the first event.
    inner join
        generate_series(
            {%- if batch.from_us == earliest_us() %}
            (select min(first_one.{{ us }}) / {{ hop_us }} * {{ hop_us }} from {{ relation }} as first_one),
            {%- else %}
            {{ (batch.from_us // hop_us + 1) * hop_us }},
            {%- endif %}
            {{ batch.watermark_us }},
            {{ hop_us }}
        ) as ends (window_end_us)
        on events.{{ us }} > ends.window_end_us - {{ size_us }} and events.{{ us }} <= ends.window_end_us
    union all
    select
        events.*,
        ends.window_end_us
    from ({{ late_events(relation, size_us, us, hop_us) }}) as events
    cross join lateral generate_series(
        greatest(
            (events.{{ us }} + {{ hop_us - 1 }}) / {{ hop_us }},
            events.scope_from_us / {{ hop_us }} + 1
        ) * {{ hop_us }},
        least(events.{{ us }} + {{ size_us - 1 }}, {{ batch.watermark_us }}),
        {{ hop_us }}
    ) as ends (window_end_us)
{% endmacro %}


{#- Size of a pane. -#}
{% macro pane_us() -%}
    {{ return(300000000) }}
{%- endmacro %}
