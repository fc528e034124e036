{#-
The meta of every rule model, as `select … union all`.

`fleetpulse dbt parse` has checked it by file, line and field. Who runs dbt by hand may not have asked:
a missing or unknown key, and a rule that is in no union, are errors here too.
-#}
{% macro rules_as_rows() %}
    {%- if not execute -%}
        {{ return('') }}
    {%- endif -%}
    {%- set keys = [
        'version', 'severity', 'subject_kind', 'clear_for', 'quiet_interval_s', 'reach_s',
        'assignment_group', 'runbook', 'short_description',
    ] -%}
    {%- set united = graph.nodes['model.' ~ project_name ~ '.int_verdicts_unioned'].depends_on.nodes -%}
    {%- set rows = [] -%}
    {%- for node in graph.nodes.values() | sort(attribute='unique_id')
        if node.resource_type == 'model' and node.name.startswith('rule_') -%}
        {%- if node.unique_id not in united -%}
            {{ exceptions.raise_compiler_error(
                'int_verdicts_unioned lacks ' ~ node.name ~ ': run `fleetpulse dbt parse`'
            ) }}
        {%- endif -%}
        {%- set meta = node.config.meta -%}
        {%- for key in keys if key not in meta -%}
            {{ exceptions.raise_compiler_error(node.patch_path ~ ': meta of ' ~ node.name ~ ' lacks ' ~ key) }}
        {%- endfor -%}
        {%- for key in meta if key not in keys + ['thresholds'] -%}
            {{ exceptions.raise_compiler_error(node.patch_path ~ ': meta of ' ~ node.name ~ ' has the unknown key ' ~ key) }}
        {%- endfor -%}
        {%- if meta.clear_for.keys() | list not in (['windows'], ['seconds']) -%}
            {{ exceptions.raise_compiler_error(
                node.patch_path ~ ': clear_for of ' ~ node.name ~ ' must be {windows: n} or {seconds: s}'
            ) }}
        {%- endif -%}
        {%- do rows.append(_rule_row(node.name.removeprefix('rule_'), meta)) -%}
    {%- endfor -%}
    {{ rows | join('\nunion all\n') }}
{% endmacro %}


{% macro _rule_row(rule_id, meta) %}
select
    {{ _literal(rule_id) }} as rule_id,
    {{ _literal(meta.version) }} as rule_version,
    {{ meta.severity | int }} as severity,
    {{ _literal(meta.subject_kind) }} as subject_kind,
    {{ meta.clear_for.windows | int if 'windows' in meta.clear_for else 'null' }}::integer as clear_for_windows,
    {{ seconds(meta.clear_for.seconds) if 'seconds' in meta.clear_for else 'null' }}::bigint as clear_for_us,
    {{ seconds(meta.quiet_interval_s) }}::bigint as quiet_interval_us,
    {{ _literal(meta.assignment_group) }} as assignment_group,
    {{ _literal(meta.runbook) }} as runbook,
    {{ _literal(meta.short_description) }} as short_description
{% endmacro %}


{% macro _literal(words) -%}
    {{ dbt.string_literal(dbt.escape_single_quotes(words)) }}::text
{%- endmacro %}
