{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with

looks as (
    {{ looks_to_judge() }}
),

-- The quantiles: the look's boundary for what is looked at again and again until it is proven (null where
-- an always-valid interval takes its place), alpha for what must hold beside it.
comparisons as (
    select
        comparisons.*,
        looks.comparison,
        looks.boundary_z,
        case
            when looks.sequential_method = 'always_valid' and declared_metrics.is_primary then looks.planned_standard_error
            when looks.sequential_method = 'always_valid'
                then {{ planned_standard_error(
                    '(task_policy.planned_effect_share * abs(holdouts.metric_value))', 'task_policy.alpha') }}
        end as planned_standard_error,
        looks.alpha,
        task_policy.alpha_z,
        declared_tasks.kind,
        declared_metrics.is_primary,
        declared_guardrails.margin,
        task_policy.slice_margin_share,
        task_policy.rollback_margin_share,
        task_policy.min_slice_row_count
    from looks
    inner join {{ ref('paired_comparisons') }} as comparisons using (task, as_of_date, challenger_version)
    inner join {{ ref('task_policy') }} as task_policy using (task)
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    inner join {{ ref('declared_metrics') }} as declared_metrics using (task, metric)
    left join {{ ref('declared_guardrails') }} as declared_guardrails using (task, metric)
    left join {{ source('recorded', 'model_metrics') }} as holdouts
        on
            comparisons.task = holdouts.task
            and looks.champion_version = holdouts.model_version
            and comparisons.metric = holdouts.metric
            and holdouts.scorer = 'model'
            and holdouts.split = 'holdout'
),

-- check by check: the quantile, the threshold, and whether the check is required.
questions as (
    select
        comparisons.*,
        'primary' as check_name,
        comparisons.boundary_z as z,
        0E0 as threshold,
        true as is_required
    from comparisons
    where comparisons.comparison = 'challenger' and comparisons.slice = 'all' and comparisons.is_primary

    union all

    select
        comparisons.*,
        'guardrail' as check_name,
        comparisons.alpha_z as z,
        -comparisons.margin as threshold,
        true as is_required
    from comparisons
    where comparisons.comparison = 'challenger' and comparisons.slice = 'all' and comparisons.margin is not null

    union all

    select
        comparisons.*,
        'deterioration' as check_name,
        comparisons.alpha_z as z,
        0E0 as threshold,
        true as is_required
    from comparisons
    where comparisons.slice = 'all'

    union all

    select
        comparisons.*,
        'slice' as check_name,
        comparisons.alpha_z as z,
        -comparisons.slice_margin_share * abs(comparisons.champion_value) as threshold,
        coalesce(
            case comparisons.kind
                when 'binary' then least(comparisons.positive_count, comparisons.negative_count)
                else comparisons.row_count
            end >= comparisons.min_slice_row_count,
            false
        ) as is_required
    from comparisons
    where comparisons.comparison = 'challenger' and comparisons.slice <> 'all'

    union all

    select
        comparisons.*,
        'rollback_primary' as check_name,
        comparisons.boundary_z as z,
        comparisons.rollback_margin_share * abs(comparisons.champion_value) as threshold,
        false as is_required
    from comparisons
    where comparisons.comparison = 'predecessor' and comparisons.slice = 'all' and comparisons.is_primary

    union all

    select
        comparisons.*,
        'rollback_guardrail' as check_name,
        comparisons.boundary_z as z,
        comparisons.margin as threshold,
        false as is_required
    from comparisons
    where comparisons.comparison = 'predecessor' and comparisons.slice = 'all' and comparisons.margin is not null
),

-- One standard error out of three groupings, and one quantile for it, sequential or not.
errors as (
    select
        questions.*,
        {{ two_way('questions', 'standard_error') }} as standard_error
    from questions
),

quantiles as (
    select
        errors.*,
        case
            when errors.planned_standard_error is not null
                and errors.check_name in ('primary', 'rollback_primary', 'rollback_guardrail')
                then {{ always_valid_z('errors.standard_error', 'errors.planned_standard_error', 'errors.alpha') }}
            else errors.z
        end as quantile
    from errors
),

-- Student's t stands in for the normal quantile, with each grouping's own number of groups.
half_widths as (
    select
        quantiles.*,
        {{ half_widths('quantiles', 'quantiles.quantile') }}
    from quantiles
),

bounded as (
    select
        half_widths.*,
        {{ two_way('half_widths', 'half_width') }} as half_width
    from half_widths
),

paired_checks as (
    select
        bounded.*,
        {{ round_significant('bounded.delta - bounded.half_width') }} as lower_bound,
        {{ round_significant('bounded.delta + bounded.half_width') }} as upper_bound,
        case
            when bounded.check_name = 'slice' and not bounded.is_required then 'insufficient'
            else {{ paired_status('bounded') }}
        end as status
    from bounded
),

samples as (
    select
        judged_samples.*,
        looks.comparison,
        looks.window_count,
        task_policy.min_row_count,
        task_policy.min_cluster_count,
        task_policy.min_coverage_share,
        task_policy.calibration_margin_sd
    from looks
    inner join {{ ref('judged_samples') }} as judged_samples using (task, as_of_date, challenger_version)
    inner join {{ ref('task_policy') }} as task_policy using (task)
    where looks.comparison in ('challenger', 'predecessor')
),

first_versions as (
    select
        looks.task,
        looks.as_of_date,
        looks.challenger_version,
        declared_metrics.metric,
        declared_metrics.is_primary,
        max(metrics.metric_value) filter (where metrics.scorer = 'baseline') as champion_value,
        max(metrics.metric_value) filter (where metrics.scorer = 'model') as challenger_value,
        max(versions.holdout_row_count) as row_count
    from looks
    inner join {{ ref('declared_metrics') }} as declared_metrics using (task)
    inner join {{ source('recorded', 'model_versions') }} as versions
        on
            looks.task = versions.task
            and looks.challenger_version = versions.model_version
    left join {{ ref('declared_guardrails') }} as declared_guardrails
        on
            declared_metrics.task = declared_guardrails.task
            and declared_metrics.metric = declared_guardrails.metric
    left join {{ source('recorded', 'model_metrics') }} as metrics
        on
            looks.task = metrics.task
            and looks.challenger_version = metrics.model_version
            and declared_metrics.metric = metrics.metric
            and metrics.split = 'holdout'
    where
        looks.comparison = 'first_version'
        and (declared_metrics.is_primary or declared_guardrails.metric is not null)
    group by
        looks.task,
        looks.as_of_date,
        looks.challenger_version,
        declared_metrics.metric,
        declared_metrics.is_primary
),

baseline_checks as (
    select
        first_versions.*,
        {{ round_significant("case when first_versions.metric = 'roc_auc' then 1E0 else -1E0 end
            * (first_versions.challenger_value - first_versions.champion_value)") }} as delta
    from first_versions
),

checks as (
    select
        paired_checks.task,
        paired_checks.as_of_date,
        paired_checks.challenger_version,
        paired_checks.check_name,
        paired_checks.metric,
        paired_checks.slice,
        paired_checks.champion_value,
        paired_checks.challenger_value,
        paired_checks.delta,
        {{ round_significant('paired_checks.standard_error') }} as standard_error,
        {{ round_significant('paired_checks.half_width / nullif(paired_checks.standard_error, 0E0)') }} as critical_value,
        paired_checks.lower_bound,
        paired_checks.upper_bound,
        'clustered_two_way' as method,
        {{ round_significant('paired_checks.threshold') }} as threshold,
        paired_checks.row_count,
        paired_checks.cluster_count,
        paired_checks.is_required,
        coalesce(
            paired_checks.status = 'ok'
            and isfinite(paired_checks.threshold)
            and case
                when paired_checks.check_name = 'deterioration' then paired_checks.upper_bound >= paired_checks.threshold
                -- A slice is too small to prove much: its loss must be neither large nor proven.
                when paired_checks.check_name = 'slice'
                    then paired_checks.delta > paired_checks.threshold and paired_checks.upper_bound >= 0E0
                else paired_checks.lower_bound > paired_checks.threshold
            end,
            false
        ) as is_passed,
        paired_checks.status
    from paired_checks

    union all

    -- A declared slice column none of whose values has enough rows.
    select
        samples.task,
        samples.as_of_date,
        samples.challenger_version,
        'slice' as check_name,
        declared_tasks.primary_metric as metric,
        declared_slices.slice_column as slice,
        cast(null as double) as champion_value,
        cast(null as double) as challenger_value,
        cast(null as double) as delta,
        cast(null as double) as standard_error,
        cast(null as double) as critical_value,
        cast(null as double) as lower_bound,
        cast(null as double) as upper_bound,
        'count' as method,
        cast(null as double) as threshold,
        samples.row_count,
        samples.cluster_count,
        true as is_required,
        false as is_passed,
        'missing' as status
    from samples
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    inner join {{ ref('declared_slices') }} as declared_slices using (task)
    where
        samples.comparison = 'challenger'
        and not exists (
            select 1
            from questions
            where
                questions.task = samples.task
                and questions.as_of_date = samples.as_of_date
                and questions.challenger_version = samples.challenger_version
                and questions.check_name = 'slice'
                and questions.is_required
                and starts_with(questions.slice, declared_slices.slice_column || '=')
        )

    union all

    {{ sample_check('row_count', 'samples.labelled_count', 'samples.min_row_count',
        'samples.labelled_count >= samples.min_row_count', "'insufficient'", ['challenger', 'predecessor']) }}

    union all

    {{ sample_check('cluster_count', 'samples.cluster_count', 'samples.min_cluster_count',
        'samples.cluster_count >= samples.min_cluster_count', "'insufficient'", ['challenger', 'predecessor']) }}

    union all

    {{ sample_check('coverage', 'samples.labelled_count / nullif(cast(samples.row_count as double), 0E0)',
        'samples.min_coverage_share',
        'samples.labelled_count / nullif(cast(samples.row_count as double), 0E0) >= samples.min_coverage_share',
        "'insufficient'", ['challenger', 'predecessor']) }}

    union all

    {{ sample_check('scoring', 'samples.row_count', 'samples.manifest_row_count',
        'samples.row_count = samples.manifest_row_count and samples.unequal_window_count = 0 '
        ~ 'and samples.scored_window_count = samples.window_count and samples.row_count > 0',
        "'missing'", ['challenger', 'predecessor']) }}

    union all

    {{ sample_check('calibration', 'abs(samples.challenger_bias)',
        'abs(samples.champion_bias) + samples.calibration_margin_sd * samples.label_standard_deviation',
        'isfinite(samples.challenger_bias) and isfinite(samples.champion_bias) and isfinite(samples.label_standard_deviation) '
        ~ 'and abs(samples.challenger_bias) <= abs(samples.champion_bias) '
        ~ '+ samples.calibration_margin_sd * samples.label_standard_deviation',
        "case when isfinite(samples.challenger_bias) and isfinite(samples.champion_bias) "
        ~ "and isfinite(samples.label_standard_deviation) then 'ok' else 'missing' end", ['challenger']) }}

    union all

    {{ sample_check('parity_certificate', 'samples.certified_window_count', 'samples.window_count',
        'samples.certified_window_count = samples.window_count and samples.window_count > 0',
        "case when samples.uncertified_window_count > 0 or samples.scored_window_count = 0 then 'missing' else 'ok' end",
        ['challenger']) }}

    union all

    select
        baseline_checks.task,
        baseline_checks.as_of_date,
        baseline_checks.challenger_version,
        'baseline' as check_name,
        baseline_checks.metric,
        'all' as slice,
        baseline_checks.champion_value,
        baseline_checks.challenger_value,
        baseline_checks.delta,
        cast(null as double) as standard_error,
        cast(null as double) as critical_value,
        cast(null as double) as lower_bound,
        cast(null as double) as upper_bound,
        'holdout' as method,
        0E0 as threshold,
        baseline_checks.row_count,
        cast(null as bigint) as cluster_count,
        true as is_required,
        coalesce(isfinite(baseline_checks.delta) and baseline_checks.delta > 0E0, false) as is_passed,
        case when coalesce(isfinite(baseline_checks.delta), false) then 'ok' else 'missing' end as status
    from baseline_checks

    union all

    select
        looks.task,
        looks.as_of_date,
        looks.challenger_version,
        'parity_certificate' as check_name,
        cast(null as varchar) as metric,
        'all' as slice,
        cast(null as double) as champion_value,
        cast(count(*) filter (where certificates.is_equal) as double) as challenger_value,
        cast(null as double) as delta,
        cast(null as double) as standard_error,
        cast(null as double) as critical_value,
        cast(null as double) as lower_bound,
        cast(null as double) as upper_bound,
        'count' as method,
        1E0 as threshold,
        coalesce(max(certificates.compared_row_count), 0) as row_count,
        cast(null as bigint) as cluster_count,
        true as is_required,
        count(*) filter (where certificates.is_equal) >= 1 as is_passed,
        case when count(certificates.engine) = 0 then 'missing' else 'ok' end as status
    from looks
    left join {{ source('recorded', 'parity_certificates') }} as certificates
        on
            looks.task = certificates.task
            and looks.challenger_version = certificates.model_version
    where looks.comparison = 'first_version'
    group by looks.task, looks.as_of_date, looks.challenger_version
),

explained as (
    select
        checks.*,
        case
            when checks.check_name in ('rollback_primary', 'rollback_guardrail') and checks.is_passed
                then case checks.check_name when 'rollback_primary' then 'primary_worse' else 'guardrail_breached' end
            when checks.is_passed or (checks.check_name = 'slice' and not checks.is_required) then null
            when checks.check_name in ('rollback_primary', 'rollback_guardrail') and checks.status = 'ok' then 'predecessor_not_better'
            when checks.check_name = 'row_count' then 'too_few_rows'
            when checks.check_name = 'cluster_count' then 'too_few_clusters'
            when checks.check_name = 'coverage' then 'low_coverage'
            when checks.check_name = 'scoring' then 'scoring_incomplete'
            when checks.check_name = 'parity_certificate' then 'parity_not_proven'
            when checks.check_name = 'slice' and checks.status = 'missing' then 'slice_missing'
            when checks.status = 'missing' then 'metric_missing'
            when checks.status = 'insufficient' then 'no_standard_error'
            when checks.check_name = 'primary' then 'not_proven_better'
            when checks.check_name = 'guardrail' then 'guardrail_not_proven'
            when checks.check_name = 'deterioration' then 'metric_worse'
            when checks.check_name = 'slice' then 'slice_worse'
            when checks.check_name = 'calibration' then 'miscalibrated'
            else 'worse_than_baseline'
        end as reason_code
    from checks
)

select
    {%- for column, data_type in check_columns().items() %}
    cast(explained.{{ column }} as {{ data_type }}) as {{ column }},
    {%- endfor %}
    cast(explained.reason_code as varchar) as reason_code,
    cast(
        case
            when explained.is_passed then 'holds: '
            when explained.check_name = 'slice' and not explained.is_required then 'not judged: too few rows for '
            else 'does not hold (' || explained.status || '): '
        end
        || explained.check_name
        || coalesce(' of ' || explained.metric, '')
        || case when explained.slice = 'all' then '' else ' on ' || explained.slice end
        || coalesce(', ' || {{ readable_number('explained.challenger_value') }}, ', no value')
        || coalesce(' against ' || {{ readable_number('explained.champion_value') }}, '')
        || coalesce(', better by ' || {{ readable_number('explained.delta') }}, '')
        || coalesce(' (between ' || {{ readable_number('explained.lower_bound') }}
            || ' and ' || {{ readable_number('explained.upper_bound') }} || ')', '')
        || coalesce(', threshold ' || {{ readable_number('explained.threshold') }}, '')
    as varchar) as sentence
from explained
