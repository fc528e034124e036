{#- Earlier snapshots from which the CTE `fresh`, the model's own new ones, goes on: those that the batch
    makes again too, else as they are known. `wanted` is a CTE with device_id, valid_from_us and
    wanted_us; rows are its own with the earlier snapshot's columns. -#}
{% macro earlier_snapshots(wanted, columns) %}
    select wanted.* {%- for column in columns %}, same.{{ column }}{% endfor %}
    from {{ wanted }} as wanted
    inner join fresh as same on wanted.device_id = same.device_id and wanted.wanted_us = same.valid_from_us
    {%- if is_incremental() %}
    union all
    select wanted.* {%- for column in columns %}, known.{{ column }}{% endfor %}
    from {{ wanted }} as wanted
    cross join lateral (
        select snapshot.* from {{ this }} as snapshot
        where
            snapshot.device_id = wanted.device_id
            and snapshot.valid_from_us = wanted.wanted_us
            and snapshot.batch_id <= {{ current_batch().batch_id }}
        limit 1
    ) as known
    where not exists (
        select 1 from fresh as same
        where same.device_id = wanted.device_id and same.valid_from_us = wanted.wanted_us
    )
    {%- endif %}
{% endmacro %}
