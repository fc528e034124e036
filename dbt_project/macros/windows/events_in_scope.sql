{#-
The events that the batch's windows can hold, with `scope_from_us`: the device's windows that end
after it, and not after the watermark, are evaluated.

For most devices that is the watermark before, a literal by which the planner takes the index on time.
A device with late events has its own, earlier one.

Args:
    relation: A staging model, or a model of panes.
    size_us: Size of the window: how far before its end an event still counts, or exactly then leaves.
    us: The column of event time.
    hop_us: Windows end at multiples of it; where no end lies in the batch, no event is read.
    delay_us: How long after an event it is judged.
-#}
{% macro events_in_scope(relation, size_us, us='us', hop_us=1, delay_us=0) %}
    {{ punctual_events(relation, size_us, us, hop_us, delay_us) }}
    union all
    {{ late_events(relation, size_us, us, hop_us, delay_us) }}
{% endmacro %}


{#- Those of the devices without late events. -#}
{% macro punctual_events(relation, size_us, us='us', hop_us=1, delay_us=0) %}
    {%- set batch = current_batch() %}
    {%- set first_end_us = (batch.from_us // hop_us + 1) * hop_us %}
    {%- set last_end_us = batch.watermark_us // hop_us * hop_us %}
    select
        events.*,
        {{ batch.from_us }}::bigint as scope_from_us
    from {{ relation }} as events
    where
        events.{{ us }} >= {{ first_end_us - size_us - delay_us }}
        and events.{{ us }} <= {{ last_end_us - delay_us }}
        and events.batch_id <= {{ batch.batch_id }}
        {%- if first_end_us > last_end_us %}
        and false
        {%- endif %}
        and not exists (
            select 1 from {{ ref('int_batch_scope') }} as late
            where late.subject_kind = 'device' and late.subject = events.device_id
        )
{% endmacro %}


{#- Those of the devices with late events. -#}
{% macro late_events(relation, size_us, us='us', hop_us=1, delay_us=0) %}
    {%- set batch = current_batch() %}
    select
        events.*,
        late.from_us as scope_from_us
    from {{ ref('int_batch_scope') }} as late
    inner join {{ relation }} as events
        on
            late.subject = events.device_id
            and events.{{ us }} > late.from_us - {{ size_us + delay_us }}
            and events.{{ us }} <= {{ batch.watermark_us // hop_us * hop_us - delay_us }}
            and events.batch_id <= {{ batch.batch_id }}
    where late.subject_kind = 'device'
{% endmacro %}
