{#- The identity of a record is unique. -#}
{% test unique_record(model) %}
select
    epoch,
    "partition",
    "offset"
from {{ model }}
group by epoch, "partition", "offset"
having count(*) > 1
{% endtest %}
