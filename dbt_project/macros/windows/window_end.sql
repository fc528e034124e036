{#- End of the tumbling window (end - size, end] that holds an instant: an event on a boundary belongs
    to the window that ends there. -#}
{% macro window_end(us, size_us) -%}
    ({{ us }} - {{ us }} % {{ size_us }} + case when {{ us }} % {{ size_us }} > 0 then {{ size_us }} else 0 end)
{%- endmacro %}
