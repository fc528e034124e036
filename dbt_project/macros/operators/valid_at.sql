{#-
The predicate of a reference join: the version that was valid at an instant, from valid_from
(inclusive) to valid_to (exclusive). A window's instant is its end.

    inner join {{ source('reference', 'devices') }} as devices
        on windowed.device_id = devices.device_id and {{ valid_at('devices', 'windowed.window_end_us') }}

Args:
    versions: Alias of a relation with the columns valid_from and valid_to.
    us: The instant, an expression.
-#}
{% macro valid_at(versions, us) -%}
    ({{ versions }}.valid_from <= {{ to_timestamp(us) }} and {{ versions }}.valid_to > {{ to_timestamp(us) }})
{%- endmacro %}
