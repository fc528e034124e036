{#- The registry's versions, with `start_us`: from when on their device is expected to be heard of. -#}
{% macro registered_devices() %}
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
{% endmacro %}
