{#-
Windows(…): the rows of several windows, each with its window's id.

    select window_id, device_id, window_end_us, count(*)
    from ({{ several_windows({
        'short': '(' ~ tumbling_windows('samples', seconds(60)) ~ ')',
        'long': '(' ~ hopping_windows('samples', seconds(600), seconds(60)) ~ ')',
    }) }}) as windowed
    group by window_id, device_id, window_end_us

Args:
    windows: By id, relations with the same columns in the same order.
-#}
{% macro several_windows(windows) -%}
    {%- for window_id, relation in windows.items() %}
    select
        '{{ window_id }}'::text as window_id,
        windowed.*
    from {{ relation }} as windowed
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}
{%- endmacro %}
