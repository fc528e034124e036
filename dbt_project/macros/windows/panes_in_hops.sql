{#-
Panes, once for each hopping window (e - size, e] of the batch that they lie in, as `window_end_us`.

A window is made of whole panes, so what is counted over it is summed over a few rows a device.

Args:
    relation: A model of panes of PANE microseconds.
    size_us: Size of the window, a multiple of the pane's.
    hop_us: Distance of two windows' ends, a multiple of the pane's.
-#}
{% macro panes_in_hops(relation, size_us, hop_us) %}
    select
        panes.*,
        ends.window_end_us
    from ({{ events_in_scope(relation, size_us, us='pane_end_us', hop_us=hop_us) }}) as panes
    cross join lateral generate_series(
        greatest(
            (panes.pane_end_us + {{ hop_us - 1 }}) / {{ hop_us }},
            panes.scope_from_us / {{ hop_us }} + 1
        ) * {{ hop_us }},
        least(panes.pane_end_us + {{ size_us - 1 }}, {{ current_batch().watermark_us }}),
        {{ hop_us }}
    ) as ends (window_end_us)
{% endmacro %}


{#- Size of a pane. -#}
{% macro pane_us() -%}
    {{ return(300000000) }}
{%- endmacro %}
