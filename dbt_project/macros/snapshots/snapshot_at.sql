{#- A lateral join's query: the snapshot, if there is one, that is valid at an instant. By a limit, so
    that it is always one probe of an index and never a join with all history. -#}
{% macro snapshot_at(snapshots, device_id, us, period_us) %}
    select snapshot.* from {{ snapshots }} as snapshot
    where
        snapshot.device_id = {{ device_id }}
        and snapshot.valid_from_us >= {{ us }} - {{ period_us }}
        and snapshot.valid_from_us < {{ us }}
        and snapshot.batch_id <= {{ current_batch().batch_id }}
    limit 1
{% endmacro %}
