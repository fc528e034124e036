{#- What an episode's ticket is after a transition of that kind: over, held, suppressed or open. -#}
{% macro state_after(kind) -%}
    case {{ kind }}
        when 'resolve' then 'over' when 'hold' then 'held' when 'suppress' then 'suppressed' else 'open'
    end
{%- endmacro %}
