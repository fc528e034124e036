{#-
dbt's own `view`, in one statement where a view is replaced: a batch replaces a dozen, and dbt's own
renames two and drops one for each.

Everything else (a first build, a table in its place) is dbt's.
-#}
{% materialization view, adapter='postgres' %}
    {%- set existing = load_cached_relation(this) -%}
    {%- if existing is none or not existing.is_view -%}
        {{ return(dbt.materialization_view_default()) }}
    {%- endif -%}
    {%- set target_relation = this.incorporate(type='view') -%}

    {{ run_hooks(pre_hooks, inside_transaction=False) }}
    {{ run_hooks(pre_hooks, inside_transaction=True) }}

    {% call statement('main') %}
        drop view if exists {{ target_relation }} cascade;
        {{ get_create_view_as_sql(target_relation, sql) }}
    {% endcall %}

    {%- do apply_grants(target_relation, config.get('grants'), should_revoke=false) -%}
    {%- do persist_docs(target_relation, model) -%}
    {{ run_hooks(post_hooks, inside_transaction=True) }}
    {%- do adapter.commit() -%}
    {{ run_hooks(post_hooks, inside_transaction=False) }}
    {{ return({'relations': [target_relation]}) }}
{% endmaterialization %}
