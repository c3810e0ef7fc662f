{#  The decision chain: each decision's id is the sha256 of its canonical evidence and of the id of
    the decision before it, per task in the order of as_of_date and challenger_version. -#}

{# The columns of decide_champion that are evidence: name -> SQL type. -#}
{% macro decision_columns() %}
    {{ return({
        'task': 'varchar',
        'as_of_date': 'date',
        'comparison': 'varchar',
        'champion_version': 'integer',
        'challenger_version': 'integer',
        'verdict': 'varchar',
        'reason_codes': 'varchar[]',
        'is_rubber_stamp': 'boolean',
        'primary_metric': 'varchar',
        'champion_value': 'double',
        'challenger_value': 'double',
        'primary_delta': 'double',
        'primary_standard_error': 'double',
        'primary_lower_bound': 'double',
        'primary_upper_bound': 'double',
        'z_statistic': 'double',
        'critical_value': 'double',
        'sequential_method': 'varchar',
        'boundary_z': 'double',
        'planned_standard_error': 'double',
        'alpha': 'double',
        'challenger_count': 'integer',
        'look_number': 'integer',
        'planned_looks': 'integer',
        'information_share': 'double',
        'first_window_date': 'date',
        'last_window_date': 'date',
        'window_count': 'integer',
        'labels_known_by_date': 'date',
        'row_count': 'bigint',
        'labelled_count': 'bigint',
        'coverage_share': 'double',
        'champion_artifact_sha256': 'varchar',
        'challenger_artifact_sha256': 'varchar',
        'champion_training_hash': 'varchar',
        'challenger_training_hash': 'varchar',
        'policy_hash': 'varchar',
        'rows_fingerprint': 'varchar',
        'checks_hash': 'varchar',
        'code_commit': 'varchar',
        'decision_sql_sha256': 'varchar',
    }) }}
{% endmacro %}

{# One text of some columns, NULL written as ~, doubles with 10 significant digits.
   relation: name of the relation; columns: name -> SQL type. -#}
{% macro canonical_text(relation, columns) -%}
    concat_ws('|'
    {%- for column, data_type in columns.items() -%}
    , coalesce(
        {%- if data_type == 'double' -%} {{ canonical_number(relation ~ '.' ~ column) }}
        {%- elif data_type == 'varchar[]' -%} array_to_string({{ relation }}.{{ column }}, ',')
        {%- else -%} cast({{ relation }}.{{ column }} as varchar)
        {%- endif -%} , '~')
    {%- endfor -%})
{%- endmacro %}

{# The hash of a question's checks. checks: a relation with the columns of decide_checks.
   Columns: task, as_of_date, challenger_version, checks_hash. -#}
{% macro hash_of_checks(checks) %}
    select
        {{ checks }}.task,
        {{ checks }}.as_of_date,
        {{ checks }}.challenger_version,
        {{ sha256("string_agg(" ~ canonical_text(checks, dict(check_columns(), reason_code='varchar', sentence='varchar'))
            ~ ", ';' order by " ~ checks ~ ".check_name, " ~ checks ~ ".metric, " ~ checks ~ ".slice)") }} as checks_hash
    from {{ checks }}
    group by {{ checks }}.task, {{ checks }}.as_of_date, {{ checks }}.challenger_version
{%- endmacro %}

{# The id of a decision. evidence: SQL, the canonical text of its columns; previous_decision_id: SQL, NULL for
   the first of a task. -#}
{% macro decision_id(evidence, previous_decision_id) -%}
    {{ sha256(evidence ~ " || '|' || coalesce(" ~ previous_decision_id ~ ", 'first')") }}
{%- endmacro %}

{# Aggregate: the distinct values in order, as a list; NULL values are left out. -#}
{% macro sorted_set(value) -%}
    {{ return(adapter.dispatch('sorted_set')(value)) }}
{%- endmacro %}

{% macro default__sorted_set(value) -%}
    list(distinct {{ value }} order by {{ value }}) filter (where {{ value }} is not null)
{%- endmacro %}
