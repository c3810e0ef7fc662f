{#  The rows of decide_checks, family by family. Every family has the columns of check_columns, and
    every gate is false when a number is missing, NaN or infinite. -#}

{# The columns of a check before it is passed or failed: name -> SQL type. -#}
{% macro check_columns() %}
    {{ return({
        'task': 'varchar',
        'as_of_date': 'date',
        'challenger_version': 'integer',
        'check_name': 'varchar',
        'metric': 'varchar',
        'slice': 'varchar',
        'champion_value': 'double',
        'challenger_value': 'double',
        'delta': 'double',
        'standard_error': 'double',
        'critical_value': 'double',
        'lower_bound': 'double',
        'upper_bound': 'double',
        'method': 'varchar',
        'threshold': 'double',
        'row_count': 'bigint',
        'cluster_count': 'bigint',
        'is_required': 'boolean',
        'is_passed': 'boolean',
        'status': 'varchar',
    }) }}
{% endmacro %}

{# The columns <grouping>_half_width of the groupings cluster, date and cell for a normal quantile, each with
   Student's t for its number of groups. comparison: relation with <grouping>_standard_error and <grouping>_count. -#}
{% macro half_widths(comparison, z) -%}
    {%- for grouping in ['cluster', 'date', 'cell'] %}
    {{ student_t_critical_value(z, '(' ~ comparison ~ '.' ~ grouping ~ '_count - 1)') }}
        * {{ comparison }}.{{ grouping }}_standard_error as {{ grouping }}_half_width{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# Two-way clustering (Cameron, Gelbach and Miller 2011): the squares by unit and by date, less that of the
   cells they have in common; never less than either of the two. All three must be known.
   comparison: relation with cluster_, date_ and cell_<name>; name: standard_error or half_width. -#}
{% macro two_way(comparison, name) -%}
    {%- set parts = [] -%}
    {%- for grouping in ['cluster', 'date', 'cell'] -%}
        {%- do parts.append(comparison ~ '.' ~ grouping ~ '_' ~ name) -%}
    {%- endfor -%}
    case
        when {{ parts[0] }} is not null and {{ parts[1] }} is not null and {{ parts[2] }} is not null
            then sqrt(greatest(
                pow({{ parts[0] }}, 2) + pow({{ parts[1] }}, 2) - pow({{ parts[2] }}, 2),
                pow({{ parts[0] }}, 2),
                pow({{ parts[1] }}, 2)
            ))
    end
{%- endmacro %}

{# The status of a paired comparison: missing (a row has no finite value), insufficient (too few
   groups for a standard error, or no boundary), ok. -#}
{% macro paired_status(comparison) -%}
    case
        when {{ comparison }}.valid_row_count < {{ comparison }}.row_count or {{ comparison }}.row_count = 0 then 'missing'
        when not coalesce(isfinite({{ comparison }}.delta), false) then 'missing'
        when not coalesce(isfinite({{ comparison }}.half_width), false) then 'insufficient'
        else 'ok'
    end
{%- endmacro %}

{# One family of checks on the looks' samples (relation `samples`, with columns of judged_samples,
   decide_looks and task_policy).
   check_name, value (SQL: what is measured), threshold (SQL), is_passed (SQL predicate), failed_status
   (SQL: the status when it is not passed), comparisons: list of the kinds of look that need it. -#}
{% macro sample_check(check_name, value, threshold, is_passed, failed_status, comparisons) %}
    select
        samples.task,
        samples.as_of_date,
        samples.challenger_version,
        '{{ check_name }}' as check_name,
        cast(null as varchar) as metric,
        'all' as slice,
        {{ 'abs(samples.champion_bias)' if check_name == 'calibration' else 'cast(null as double)' }} as champion_value,
        cast({{ value }} as double) as challenger_value,
        cast(null as double) as delta,
        cast(null as double) as standard_error,
        cast(null as double) as critical_value,
        cast(null as double) as lower_bound,
        cast(null as double) as upper_bound,
        'count' as method,
        cast({{ threshold }} as double) as threshold,
        samples.row_count,
        samples.cluster_count,
        true as is_required,
        coalesce({{ is_passed }}, false) as is_passed,
        case when coalesce({{ is_passed }}, false) then 'ok' else {{ failed_status }} end as status
    from samples
    where samples.comparison in ('{{ comparisons | join("', '") }}')
{%- endmacro %}

{# What a check is about: its metric, its slice column, or nothing. checks: relation with the columns of
   decide_checks. -#}
{% macro check_subject(checks) -%}
    case
        when {{ checks }}.check_name = 'slice' then split_part({{ checks }}.slice, '=', 1)
        else coalesce({{ checks }}.metric, '')
    end
{%- endmacro %}

{# The checks without which a question of a kind is not decided: PROMOTE when every one holds, and a check
   that nobody wrote does not hold. Columns: task, comparison, check_name, subject. -#}
{% macro required_checks() %}
    {%- set of_rows = ['row_count', 'cluster_count', 'coverage', 'scoring'] %}
    {%- set counted = {
        'challenger': of_rows + ['calibration', 'parity_certificate'],
        'predecessor': of_rows,
        'first_version': ['parity_certificate'],
    } %}
    {%- for comparison, names in counted.items() %}
    {%- for name in names %}
    select
        task,
        '{{ comparison }}' as comparison,
        '{{ name }}' as check_name,
        '' as subject
    from {{ ref('declared_tasks') }}
    union all
    {%- endfor %}
    {%- endfor %}
    {%- for comparison, name, metrics in [
        ('challenger', 'primary', 'is_primary'),
        ('challenger', 'deterioration', 'true'),
        ('predecessor', 'deterioration', 'true'),
        ('first_version', 'baseline', 'is_primary'),
    ] %}
    select
        task,
        '{{ comparison }}' as comparison,
        '{{ name }}' as check_name,
        metric as subject
    from {{ ref('declared_metrics') }}
    where {{ metrics }}
    union all
    {%- endfor %}
    {%- for comparison, name in [('challenger', 'guardrail'), ('first_version', 'baseline')] %}
    select
        task,
        '{{ comparison }}' as comparison,
        '{{ name }}' as check_name,
        metric as subject
    from {{ ref('declared_guardrails') }}
    union all
    {%- endfor %}
    select
        task,
        'challenger' as comparison,
        'slice' as check_name,
        slice_column as subject
    from {{ ref('declared_slices') }}
{%- endmacro %}
