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

{# Half-widths for a normal quantile: of the two clusterings the wider interval counts, each with
   Student's t for its number of groups. Both must be known: one that is missing makes NULL.
   comparison: relation with cluster_standard_error, cluster_count, date_standard_error, date_count. -#}
{% macro half_width(comparison, grouping, z) -%}
    {{ student_t_critical_value(z, '(' ~ comparison ~ '.' ~ grouping ~ '_count - 1)') }}
    * {{ comparison }}.{{ grouping }}_standard_error
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
