{#-
A duration in microseconds, as it came; a compiler error where it is out of bounds.

Args:
    what: Its name in the error.
    us: The duration, a whole number.
    least_us: The least that is allowed.
    most_us: The most; by default 7 days, the longest window there is.
-#}
{% macro checked_us(what, us, least_us=1, most_us=604800000000) -%}
    {%- if us | int | string != us | string or not least_us <= us | int <= most_us -%}
        {{ exceptions.raise_compiler_error(
            what ~ ' is ' ~ us ~ ' µs: give a whole number from ' ~ least_us ~ ' to ' ~ most_us
        ) }}
    {%- endif -%}
    {{ return(us | int) }}
{%- endmacro %}
