{#-
Of the records of a partition that carry the same event_id, the one that came first; in the batch, or
before it.

Args:
    events: A CTE with the records of the batch.
-#}
{% macro first_of_each_event(events) %}
    select distinct on ({{ events }}."partition", {{ events }}.event_id) {{ events }}.*
    from {{ events }}
    {%- if is_incremental() %}
    where not exists (
        select 1 from {{ this }} as earlier
        where
            earlier."partition" = {{ events }}."partition"
            and earlier.event_id = {{ events }}.event_id
            and earlier.batch_id < {{ current_batch().batch_id }}
    )
    {%- endif %}
    order by {{ events }}."partition", {{ events }}.event_id, {{ events }}.epoch, {{ events }}."offset"
{% endmacro %}
