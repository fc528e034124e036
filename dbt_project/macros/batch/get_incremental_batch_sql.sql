{#-
The incremental strategy `batch`: the batch's rows replace what an earlier attempt at it has left.

A batch that is done is never written again, and without a batch nothing is.
-#}
{% macro get_incremental_batch_sql(arg_dict) %}
    {%- set batch = current_batch() -%}
    {%- set target_relation = arg_dict['target_relation'] -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- if batch_is_over() %}
    select 'batch {{ batch.batch_id }} is done: nothing is written' as message
    {%- else %}
    delete from {{ target_relation }}
    where batch_id {{ '<=' if config.get('meta', {}).get('only_current_batch') else '=' }} {{ batch.batch_id }};

    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict['temp_relation'] }}
    {%- endif %}
{% endmacro %}
