{#-
Hopping(S, H): each event once for each of its windows (e - S, e], e a multiple of H.

An event is in S / H windows, or, where H exceeds S, in one or none. Rows: those of `relation`, with
window_start_us and window_end_us. Long windows by short hops: sum panes, not events.

    select device_id, window_end_us, count(distinct boot_id)
    from ({{ hopping_windows('beats', seconds(1800), seconds(300)) }}) as windowed
    group by device_id, window_end_us

Args:
    relation: Events; a relation, a CTE's name, or a query in parentheses.
    size_us: S.
    hop_us: H.
    us: The column of event time.
-#}
{% macro hopping_windows(relation, size_us, hop_us, us='us') -%}
    {%- set size_us = checked_us('size of a hopping window', size_us) -%}
    {%- set hop_us = checked_us('hop of a hopping window', hop_us) -%}
    select
        events.*,
        ends.us - {{ size_us }} as window_start_us,
        ends.us as window_end_us
    from {{ relation }} as events
    cross join lateral generate_series(
        {{ window_end('events.' ~ us, hop_us) }}, events.{{ us }} + {{ size_us - 1 }}, {{ hop_us }}
    ) as ends (us)
{%- endmacro %}
