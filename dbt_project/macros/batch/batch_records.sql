{#- A predicate: the batch's records of a topic, by the literal offset range of each partition. -#}
{% macro batch_records(topic) %}
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
