{#- What the batch merges of a backfill: rows as `verdicts` has them, each with the revision that it becomes. -#}
{% macro revisions_of_backfill() -%}
    {{ api.Relation.create(
        database=target.database,
        schema='backfill_' ~ (current_batch().backfill_id | int),
        identifier='revisions',
    ) }}
{%- endmacro %}
