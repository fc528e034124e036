{#-
A predicate: the batch's records of a landing table, by literals.

A record belongs to the first batch that ends beyond its offset and, if it was redriven from
quarantine, not below its number. So these are in the batch and in none before it:

- the offsets in [from, to) of each partition, not redriven or with a number up to the batch's last;
- redriven since the batch before, offsets of earlier batches: by the index on `redrive`, and only
  where there are any.
-#}
{% macro batch_records(topic) %}
    {%- set batch = current_batch() -%}
    {%- set legs = [
        '(redrive is null or redrive <= ' ~ batch.to_redrive ~ ') and ' ~ batch_offsets(topic)
    ] -%}
    {%- if batch.to_redrive > batch.from_redrive -%}
        {%- set before = [] -%}
        {%- for start in batch.from_offsets if start.topic == topic -%}
            {%- do before.append(
                '(epoch = ' ~ start.epoch ~ ' and "partition" = ' ~ start.partition
                ~ ' and "offset" < ' ~ start.offset ~ ')'
            ) -%}
        {%- endfor -%}
        {%- do legs.append(
            'redrive > ' ~ batch.from_redrive ~ ' and redrive <= ' ~ batch.to_redrive
            ~ ' and (' ~ (before | join(' or ') or 'false') ~ ')'
        ) -%}
    {%- endif -%}
    {{ return('((' ~ legs | join(') or (') ~ '))') }}
{% endmacro %}


{#- A predicate: what the batch has of a topic in quarantine. A record that it, or a batch before, finds
    in landing is not there; one that is redriven later still is. -#}
{% macro batch_quarantined(topic) %}
    {%- set batch = current_batch() -%}
    {{ return(
        '(redrive is null or redrive > ' ~ batch.to_redrive ~ ') and ' ~ batch_offsets(topic)
    ) }}
{% endmacro %}


{#- A predicate: the batch's range of offsets of each partition. -#}
{% macro batch_offsets(topic) %}
    {%- set batch = current_batch() -%}
    {%- set starts = {} -%}
    {%- for start in batch.from_offsets if start.topic == topic -%}
        {%- do starts.update({(start.epoch, start.partition): start.offset}) -%}
    {%- endfor -%}
    {%- set ranges = [] -%}
    {%- for end in batch.to_offsets if end.topic == topic -%}
        {#- A partition that the batch before did not know begins with its epoch. -#}
        {%- set start = starts.get((end.epoch, end.partition), 0) -%}
        {%- if start < end.offset -%}
            {%- do ranges.append(
                '(epoch = ' ~ end.epoch ~ ' and "partition" = ' ~ end.partition
                ~ ' and "offset" >= ' ~ start ~ ' and "offset" < ' ~ end.offset ~ ')'
            ) -%}
        {%- endif -%}
    {%- endfor -%}
    {{ return('(' ~ (ranges | join(' or ') or 'false') ~ ')') }}
{% endmacro %}
