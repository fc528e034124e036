{#-
The batch that this invocation works on: the oldest unfinished one, or the one of the var `batch_id`.

Returns a mapping: batch_id, state, from_us (exclusive), watermark_us (inclusive), from_offsets,
to_offsets, from_redrive (exclusive), to_redrive (inclusive) and backfill_id (none, or the backfill that
it merges; then its ranges are empty). Where there is none, batch_id is 0 and every range is empty, so
that models run and add nothing.
-#}
{% macro current_batch() %}
    {%- set nothing = {
        'batch_id': 0, 'state': none, 'from_us': earliest_us(), 'watermark_us': earliest_us(),
        'from_offsets': [], 'to_offsets': [], 'from_redrive': 0, 'to_redrive': 0, 'backfill_id': none,
    } -%}
    {%- if not execute -%}
        {{ return(nothing) }}
    {%- endif -%}

    {#- Asked once an invocation: a batch that is cut while models run must not be taken up by the
        later ones. `graph` is the one object that all models of an invocation share. -#}
    {%- set key = 'fleetpulse_batch_' ~ invocation_id -%}
    {%- if key not in graph -%}
        {%- set rows = run_query(_batch_query()).rows -%}
        {%- if rows | length == 0 and var('batch_id') is not none -%}
            {{ exceptions.raise_compiler_error('there is no batch ' ~ var('batch_id') ~ ' in control.batches') }}
        {%- endif -%}
        {%- if rows | length == 0 -%}
            {%- do graph.setdefault(key, nothing) -%}
        {%- else -%}
            {%- do graph.setdefault(key, {
                'batch_id': rows[0][0] | int,
                'state': rows[0][1],
                'from_us': rows[0][2] | int,
                'watermark_us': rows[0][3] | int,
                'from_offsets': fromjson(rows[0][4]),
                'to_offsets': fromjson(rows[0][5]),
                'from_redrive': rows[0][6] | int,
                'to_redrive': rows[0][7] | int,
                'backfill_id': rows[0][8],
            }) -%}
        {%- endif -%}
    {%- endif -%}
    {{ return(graph[key]) }}
{% endmacro %}


{% macro _batch_query() %}
    select
        batch_id::text,
        state,
        {{ to_us('from_watermark') }}::text,
        {{ to_us('watermark') }}::text,
        from_offsets::text,
        to_offsets::text,
        from_redrive::text,
        to_redrive::text,
        backfill_id::text
    from {{ source('control', 'batches') }}
    {% if var('batch_id') is not none %}
    where batch_id = {{ var('batch_id') | int }}
    {% elif owns_batches() %}
    where state <> 'done'
    order by batch_id
    limit 1
    {% else %}
    order by batch_id desc
    limit 1
    {% endif %}
{% endmacro %}


{#- Whether this target's work is the batch's own: a developer's schemas must not finish it. -#}
{% macro owns_batches() %}
    {{ return(target.name in ('prod', 'ci')) }}
{% endmacro %}


{#- Whether nothing may be written: there is no batch, or it is done. -#}
{% macro batch_is_over() %}
    {%- set batch = current_batch() -%}
    {{ return(batch.batch_id == 0 or (batch.state == 'done' and owns_batches())) }}
{% endmacro %}
