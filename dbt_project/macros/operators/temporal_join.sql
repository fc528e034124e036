{#-
DATEDIFF(…, left, right) BETWEEN lower AND upper: the predicate of a temporal join, by which the right
event is no earlier than left + lower and no later than left + upper.

    select opened.device_id, {{ joined_us('opened', 'closed', seconds(300)) }} as us
    from opened
    left join closed on opened.device_id = closed.device_id and {{ joins_within('opened', 'closed', 0, seconds(300)) }}
    where closed.us is null

Args:
    left_events: Alias of the left side; its event time is the column us.
    right_events: Alias of the right side.
    lower_us: May be negative.
    upper_us: Not less than lower_us; at most 7 days from zero, as lower_us.
-#}
{% macro joins_within(left_events, right_events, lower_us, upper_us) -%}
    {%- set lower_us = checked_us('lower bound of a temporal join', lower_us, -604800000000) -%}
    {%- set upper_us = checked_us('upper bound of a temporal join', upper_us, lower_us) -%}
    ({{ right_events }}.us between {{ left_events }}.us + {{ lower_us }} and {{ left_events }}.us + {{ upper_us }})
{%- endmacro %}


{#- Time of a joined row: the later of the two; of a left join without a match, left + upper: only
    then is it known that there is none. -#}
{% macro joined_us(left_events, right_events, upper_us) -%}
    {%- set upper_us = checked_us('upper bound of a temporal join', upper_us, -604800000000) -%}
    case
        when {{ right_events }}.us is null then {{ left_events }}.us + {{ upper_us }}
        else greatest({{ left_events }}.us, {{ right_events }}.us)
    end
{%- endmacro %}
