{#-
The incremental strategy `replace`: the batch's rows take the place of those with the same
`unique_key`, whichever batch wrote them. For what is computed again as a whole when it changes.

A batch that is done writes nothing.
-#}
{% macro get_incremental_replace_sql(arg_dict) %}
    {%- set batch = current_batch() -%}
    {%- set target_relation = arg_dict['target_relation'] -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- if batch_is_over() %}
    select 'batch {{ batch.batch_id }} is done: nothing is written' as message
    {%- else %}
    insert into {{ target_relation }} ({{ columns }})
    select {{ columns }}
    from {{ arg_dict['temp_relation'] }}
    on conflict ({{ arg_dict['unique_key'] | join(', ') }}) do update
    set
        {%- for column in arg_dict['dest_columns'] if column.name not in arg_dict['unique_key'] %}
        {{ column.quoted }} = excluded.{{ column.quoted }}{{ ',' if not loop.last }}
        {%- endfor %}
    {%- endif %}
{% endmacro %}
