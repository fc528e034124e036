{#-
The registry's versions, with `start_us`: from when on their device is expected to be heard of.

Args:
    asked: A relation with a device_id; where given, only its devices.
-#}
{% macro registered_devices(asked=none) %}
    select
        device_id,
        site_id,
        valid_from,
        valid_to,
        decommissioned_at,
        greatest(
            {{ to_us('commissioned_at') }}, {{ to_us('min(valid_from) over (partition by device_id)') }}
        ) as start_us
    from {{ source('reference', 'devices') }}
    {%- if asked %}
    where device_id in (select {{ asked }}.device_id from {{ asked }})
    {%- endif %}
{% endmacro %}
