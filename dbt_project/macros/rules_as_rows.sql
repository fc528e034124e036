{#- The meta of every rule model, as `select … union all`; a missing or unknown key is an error. -#}
{% macro rules_as_rows() %}
    {%- if not execute -%}
        {{ return('') }}
    {%- endif -%}
    {%- set keys = [
        'version', 'severity', 'subject_kind', 'clear_for', 'quiet_interval_s', 'reach_s',
        'assignment_group', 'runbook', 'short_description',
    ] -%}
    {%- set rows = [] -%}
    {%- for node in graph.nodes.values() | sort(attribute='unique_id')
        if node.resource_type == 'model' and node.name.startswith('rule_') -%}
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
    '{{ rule_id }}'::text as rule_id,
    '{{ meta.version }}'::text as rule_version,
    {{ meta.severity | int }} as severity,
    '{{ meta.subject_kind }}'::text as subject_kind,
    {{ meta.clear_for.windows | int if 'windows' in meta.clear_for else 'null' }}::integer as clear_for_windows,
    {{ seconds(meta.clear_for.seconds) if 'seconds' in meta.clear_for else 'null' }}::bigint as clear_for_us,
    {{ seconds(meta.quiet_interval_s) }}::bigint as quiet_interval_us,
    '{{ meta.assignment_group }}'::text as assignment_group,
    '{{ meta.runbook }}'::text as runbook,
    '{{ meta.short_description }}'::text as short_description
{% endmacro %}
