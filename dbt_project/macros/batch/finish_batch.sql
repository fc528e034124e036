{#-
The last statement of a batch, in the transaction of its transitions: moves it from cut to done.

Raises where another run has done so, where the batch before is unfinished, and where only a part of
the batch's models is run: such a batch must not be taken for done.
-#}
{% macro finish_batch() %}
    {%- set batch = current_batch() -%}
    {%- if execute and batch.batch_id > 0 and batch.state == 'cut' and owns_batches() -%}
        {%- set left_out = [] -%}
        {%- for node in graph.nodes.values() if 'batch' in node.tags and node.resource_type == 'model' -%}
            {%- if node.unique_id not in selected_resources -%}
                {%- do left_out.append(node.name) -%}
            {%- endif -%}
        {%- endfor -%}
        {%- if left_out -%}
            {{ exceptions.raise_compiler_error(
                'batch ' ~ batch.batch_id ~ ' cannot be finished without ' ~ left_out | join(', ')
                ~ ': run `dbt run --selector insights_batch`'
            ) }}
        {%- endif -%}
    do $$
    begin
        update {{ source('control', 'batches') }}
        set state = 'done', done_at = clock_timestamp()
        where batch_id = {{ batch.batch_id }}
          and state = 'cut'
          and coalesce(
              (select previous.state from {{ source('control', 'batches') }} as previous
               where previous.batch_id = {{ batch.batch_id - 1 }}), 'done') = 'done';
        if not found then
            raise exception 'batch {{ batch.batch_id }} is not ours to finish: it is done already, or the one before is not';
        end if;
    end
    $$
    {%- endif -%}
{% endmacro %}
