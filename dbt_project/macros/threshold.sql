{#- A number that the rule's yml names under `meta.thresholds`. -#}
{% macro threshold(name) -%}
    {%- if not execute -%}
        {{ return(1) }}
    {%- endif -%}
    {%- set numbers = thresholds() -%}
    {%- if name not in numbers -%}
        {{ exceptions.raise_compiler_error('meta.thresholds of ' ~ model.name ~ ' lacks ' ~ name) }}
    {%- endif -%}
    {{ return(numbers[name]) }}
{%- endmacro %}


{#- All of them. Unit tests, which do not see the meta, override it. -#}
{% macro thresholds() -%}
    {{ return(model.config.meta.get('thresholds', {})) }}
{%- endmacro %}
