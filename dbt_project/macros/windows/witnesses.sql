{#-
A lateral join's query: the last ten records of a device in (start, end], as evidence.

Args:
    topic: The topic that `relation` stages.
    relation: A staging model; `witness` in the condition.
    device, start_us, end_us: SQL of the device and of the window.
    needed: SQL that tells of the verdict alone whether it needs them. As the join's own condition it
        would be looked at when all are read: half of what the rules cost together.
    where: Which records count.
-#}
{% macro witnesses(topic, relation, device, start_us, end_us, needed, where='true') %}
    select {{ evidence(topic, 'last_ones') }} as evidence
    from (
        select * from {{ relation }} as witness
        where
            {{ needed }}
            and witness.device_id = {{ device }}
            and {{ where }}
            and witness.us > {{ start_us }}
            and witness.us <= {{ end_us }}
            and witness.batch_id <= {{ current_batch().batch_id }}
        order by witness.us desc, witness.epoch desc, witness."partition" desc, witness."offset" desc
        limit 10
    ) as last_ones
{% endmacro %}
