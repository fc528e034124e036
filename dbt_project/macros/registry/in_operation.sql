{#- A predicate: the version of a device was valid at an instant, and the device not decommissioned. -#}
{% macro in_operation(version, us) -%}
    (
        {{ valid_at(version, us) }}
        and ({{ version }}.decommissioned_at is null or {{ version }}.decommissioned_at > {{ to_timestamp(us) }})
    )
{%- endmacro %}
