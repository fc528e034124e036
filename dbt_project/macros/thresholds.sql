{#- The numbers that the rule's yml names under `meta.thresholds`. -#}
{% macro thresholds() -%}
    {{ return(model.config.meta.get('thresholds', {})) }}
{%- endmacro %}
