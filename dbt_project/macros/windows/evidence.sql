{#- The last records behind a verdict, as the ordered aggregate of a query over `relation` rows. -#}
{% macro evidence(topic, relation, us='us') -%}
    jsonb_agg(
        jsonb_build_object(
            'topic', '{{ topic }}', 'epoch', {{ relation }}.epoch,
            'partition', {{ relation }}."partition", 'offset', {{ relation }}."offset"
        )
        order by {{ relation }}.{{ us }}, {{ relation }}.epoch, {{ relation }}."partition", {{ relation }}."offset"
    )
{%- endmacro %}
