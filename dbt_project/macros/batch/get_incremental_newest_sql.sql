{#-
The incremental strategy `newest`: of each `unique_key` the row that is last by meta's `newest_by`. An
older one that comes later changes nothing.

A batch that is done writes nothing.
-#}
{% macro get_incremental_newest_sql(arg_dict) %}
    {%- set batch = current_batch() -%}
    {%- set columns = get_quoted_csv(arg_dict['dest_columns'] | map(attribute='name')) -%}
    {%- set order = config.get('meta')['newest_by'] -%}
    {%- if batch_is_over() %}
    select 'batch {{ batch.batch_id }} is done: nothing is written' as message
    {%- else %}
    insert into {{ arg_dict['target_relation'] }} as known ({{ columns }})
    select {{ columns }}
    from {{ arg_dict['temp_relation'] }}
    on conflict ({{ arg_dict['unique_key'] | join(', ') }}) do update
    set
        {%- for column in arg_dict['dest_columns'] if column.name not in arg_dict['unique_key'] %}
        {{ column.quoted }} = excluded.{{ column.quoted }}{{ ',' if not loop.last }}
        {%- endfor %}
    where
        (known.{{ order | join(', known.') }})
        < (excluded.{{ order | join(', excluded.') }})
    {%- endif %}
{% endmacro %}
