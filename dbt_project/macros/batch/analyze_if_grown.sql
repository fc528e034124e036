{#-
A post-hook: fresh statistics for whoever reads the table in this batch. Autovacuum comes once a minute;
until then it is planned for what was there before.

Of a table that keeps the current batch alone, always: else no row is expected in it, and whoever joins it
compares each with each. Of another, where it has doubled since the last ones: a first batch, and each that
catches up (measured: 560,000 records in 580 s without).
-#}
{% macro analyze_if_grown() %}
{%- if (config.get('meta') or {}).get('only_current_batch') %}
analyze {{ this }}
{%- else %}
do $$
begin
    if pg_relation_size('{{ this }}') > 2 * current_setting('block_size')::bigint * (
        select relpages from pg_class where oid = '{{ this }}'::regclass
    ) then
        analyze {{ this }};
    end if;
end
$$
{%- endif %}
{% endmacro %}
