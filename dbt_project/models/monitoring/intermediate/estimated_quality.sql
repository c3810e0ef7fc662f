{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['task', 'model_version', 'as_of_date'],
    on_schema_change='fail',
) }}

{%- set losses = ['log_loss', 'brier_score', 'error_rate', 'absolute_error'] %}
{%- set window_key = ['task', 'model_version', 'as_of_date'] %}
{%- set window_columns = window_key | join(', ') %}

with

thresholds as (
    {{- drift_thresholds() }}
),

scored_windows as (
    {{- scored_windows_to_judge() }}
),

{%- for task in var('tasks') %}
{{ task }}_scores as (
    {{- scores_to_estimate(task, ref('pred_' ~ task ~ '_all_versions'), 'scored_windows') }}
),
{%- endfor %}

scored_rows as (
    {%- for task in var('tasks') %}
    select * from {{ task }}_scores
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

class_rows as (
    select * from scored_rows
    where kind <> 'regression'
),

knots as (
    select knots.*
    from {{ source('recorded', 'calibration_knots') }} as knots
    inner join (select distinct task, model_version from scored_windows) as scored_versions
        using (task, model_version)
),

calibrated_rows as (
    {{- calibrated_scores('class_rows', 'knots', ['task', 'model_version', 'class_name']) }}
),

binary_rows as (
    select * from calibrated_rows
    where kind = 'binary'
),

multiclass_rows as (
    select * from calibrated_rows
    where kind = 'multiclass'
),

multiclass_losses as (
    {{- expected_multiclass_losses('multiclass_rows', window_key + ['unit_id']) }}
),

unit_losses as (
    select
        {{ window_columns }},
        probability is not null as is_calibrated,
        {{ expected_log_loss('score', 'probability') }} as log_loss,
        {{ expected_brier_score('score', 'probability') }} as brier_score,
        cast(null as double) as error_rate,
        cast(null as double) as absolute_error
    from binary_rows
    union all
    select
        {{ window_columns }},
        log_loss is not null as is_calibrated,
        log_loss,
        brier_score,
        error_rate,
        cast(null as double) as absolute_error
    from multiclass_losses
    union all
    select
        {{ window_columns }},
        expected_absolute_error is not null as is_calibrated,
        cast(null as double) as log_loss,
        cast(null as double) as brier_score,
        cast(null as double) as error_rate,
        expected_absolute_error as absolute_error
    from scored_rows
    where kind = 'regression'
),

means as (
    select
        {{ window_columns }},
        count(*) as row_count,
        bool_and(is_calibrated) as is_calibrated,
        {%- for loss in losses %}
        avg({{ loss }}) as {{ loss }},
        {{ standard_error(loss) }} as {{ loss }}_standard_error{{ ',' if not loop.last }}
        {%- endfor %}
    from unit_losses
    group by {{ window_columns }}
),

ranking as (
    {{- expected_roc_auc('binary_rows', window_key) }}
),

figures as (
    select *
    from means
    left join ranking using ({{ window_columns }})
),

{%- set entries = [] %}
{%- for metric in losses + ['roc_auc'] %}
{%- do entries.append(["'" ~ metric ~ "'", metric, metric ~ '_standard_error']) %}
{%- endfor %}

reference as (
    select
        task,
        model_version,
        metric,
        max(metric_value) filter (where scorer = 'estimate') as reference_value,
        max(metric_value) filter (where scorer = 'estimate_error') as window_error
    from {{ source('recorded', 'model_metrics') }}
    where split = 'holdout'
    group by task, model_version, metric
),

metric_rows as (
    {{- unpivot(
        'figures', window_key + ['row_count', 'is_calibrated'],
        ['metric', 'metric_value', 'standard_error'], entries
    ) }}
),

estimates as (
    select
        metric_rows.task,
        metric_rows.model_version,
        metric_rows.as_of_date,
        metric_rows.metric,
        scored_windows.role,
        scored_windows.scoring_epoch,
        case when metric_rows.metric = 'absolute_error' then 'dle' else 'cbpe' end as method,
        -- of a loss more is worse, of the AUC less
        case when metric_rows.metric = 'roc_auc' then -1 else 1 end as worse_direction,
        metric_rows.row_count,
        metric_rows.is_calibrated,
        case
            when metric_rows.is_calibrated and {{ is_number('metric_rows.metric_value') }}
                then {{ round_significant('metric_rows.metric_value') }}
        end as estimated_value,
        -- which rows the window holds, and by how much the estimate misses a single window
        case
            when metric_rows.is_calibrated and {{ is_number('metric_rows.standard_error') }}
                then {{ round_significant(
                    'sqrt(metric_rows.standard_error * metric_rows.standard_error'
                    ~ ' + reference.window_error * reference.window_error)'
                ) }}
        end as standard_error,
        reference.reference_value,
        reference.window_error,
        thresholds.minimum_window_rows,
        thresholds.estimated_decay_share
    from metric_rows
    inner join scored_windows using ({{ window_columns }})
    inner join {{ ref('declared_metrics') }} as declared_metrics using (task, metric)
    left join reference using (task, model_version, metric)
    cross join thresholds
),

-- 1.645: the normal quantile of 0.95, so that either bound alone is one-sided at 95 %
bounds as (
    select
        *,
        estimated_value - 1.6448536269514722e0 * standard_error as lower_bound,
        estimated_value + 1.6448536269514722e0 * standard_error as upper_bound
    from estimates
),

statuses as (
    select
        *,
        case
            when not is_calibrated then 'not_calibrated'
            when not coalesce(row_count >= minimum_window_rows, false) then 'too_few_rows'
            when not {{ is_number('estimated_value') }} then 'not_computable'
            when not {{ is_number('reference_value') }} or not {{ is_number('window_error') }}
                then 'no_reference'
            when not {{ is_number('standard_error') }} then 'not_computable'
        end as insufficient_reason,
        case when worse_direction = 1 then lower_bound else upper_bound end as mildest_bound
    from bounds
),

alarms as (
    select
        *,
        case
            when insufficient_reason is null
                then coalesce(
                    worse_direction * (mildest_bound - reference_value)
                    > estimated_decay_share * abs(reference_value),
                    false
                )
        end as is_alarming
    from statuses
),

{{ persistent_alarms(['task', 'model_version', 'metric']) }}

select
    task,
    model_version,
    role,
    as_of_date,
    metric,
    method,
    row_count,
    estimated_value,
    standard_error,
    lower_bound,
    upper_bound,
    reference_value,
    is_alarming,
    alarming_window_count,
    case when insufficient_reason is null then 'ok' else 'insufficient' end as status,
    case
        when insufficient_reason is not null then insufficient_reason
        when is_alarming then 'estimated_decay'
        else 'no_decay'
    end as reason_code,
    scoring_epoch
from persistent_alarms
