{{ config(
    materialized='incremental',
    incremental_strategy='delete+insert',
    unique_key=['task', 'model_version', 'as_of_date', 'feature'],
    on_schema_change='fail',
) }}

with

{{ drift_statistics('features') }},

exceptions as (
    select
        task,
        feature as column_name,
        is_constant_expected
    from {{ ref('drift_exceptions') }}
),

statuses as (
    select
        drift_statistics.*,
        exceptions.column_name is not null as is_excepted,
        coalesce(exceptions.is_constant_expected, false) as is_constant_expected,
        case
            when drift_statistics.reference_row_count < thresholds.minimum_reference_rows
                then 'no_reference'
            when drift_statistics.window_row_count < thresholds.minimum_window_rows
                then 'too_few_rows'
            when not {{ is_number('drift_statistics.psi') }} then 'not_computable'
        end as insufficient_reason,
        2e0 * {{ normal_cdf('-abs(drift_statistics.null_share_z)') }} as null_share_p_value,
        thresholds.*
    from drift_statistics
    cross join thresholds
    left join exceptions using (task, column_name)
),

tested as (
    select
        *,
        -- of the tests that Benjamini and Hochberg do not adjust: each feature's share of the rate
        false_discovery_rate / count(*) over (partition by task, model_version, as_of_date)
            as rate_per_feature,
        case
            when insufficient_reason is null and not is_excepted then chi_square_p_value
        end as tested_p_value
    from statuses
),

adjusted as (
    {{- benjamini_hochberg('tested', 'tested_p_value', ['task', 'model_version', 'as_of_date']) }}
),

findings as (
    select
        *,
        coalesce(adjusted_p_value <= false_discovery_rate, false) as is_significant,
        is_all_null and reference_null_share < 1 as is_lost,
        is_constant and reference_cell_count > 1 and not is_constant_expected as is_frozen,
        coalesce(
            abs(window_null_share - reference_null_share) > null_share_change
            and null_share_p_value <= rate_per_feature,
            false
        ) as is_null_share_changed,
        coalesce(
            out_of_range_share >= out_of_range_share_warn and out_of_range_p_value <= rate_per_feature,
            false
        ) as is_out_of_range,
        coalesce(out_of_range_share >= out_of_range_share_act, false) as is_far_out_of_range,
        coalesce(new_category_share >= new_category_share_warn, false) as has_new_categories,
        coalesce(new_category_share >= new_category_share_act, false) as has_many_new_categories
    from adjusted
),

alarms as (
    select
        *,
        column_name as feature,
        case
            when insufficient_reason is not null then null
            -- an exception is about shifts: a column that is gone or stands still is no shift
            when is_excepted then is_lost or is_frozen
            else
                is_lost
                or is_frozen
                or is_null_share_changed
                or has_new_categories
                or is_out_of_range
                or (psi > greatest(psi_warn, psi_null_quantile) and is_significant)
        end as is_alarming,
        -- what cannot wait for a third window: the column is gone, or means something else
        is_lost or (has_many_new_categories and not is_excepted) as is_blocking,
        psi > greatest(psi_act, psi_null_quantile) and is_significant as is_large_shift,
        psi > greatest(psi_warn, psi_null_quantile) and is_significant as is_shift
    from findings
),

{{ persistent_alarms(['task', 'model_version', 'feature']) }}

select
    task,
    model_version,
    as_of_date,
    feature,
    role,
    column_kind,
    case when insufficient_reason is null then 'ok' else 'insufficient' end as status,
    case
        when insufficient_reason is not null then null
        when not is_alarming then 'none'
        when is_blocking then 'act'
        when
            alarming_window_count >= alarming_windows_to_act
            and (is_large_shift or is_frozen or (is_out_of_range and is_far_out_of_range))
            then 'act'
        else 'warn'
    end as severity,
    case
        when insufficient_reason is not null then insufficient_reason
        when is_lost then 'all_null'
        when is_excepted and is_frozen then 'constant'
        when is_excepted then 'excepted'
        when has_many_new_categories then 'new_categories'
        -- before the shift that the missing values make of themselves
        when is_null_share_changed then 'null_share_changed'
        when is_shift then 'distribution_shifted'
        when is_frozen then 'constant'
        when has_new_categories then 'new_categories'
        when is_out_of_range then 'out_of_range'
        else 'no_drift'
    end as reason_code,
    is_alarming,
    alarming_window_count,
    reference_row_count,
    window_row_count,
    bin_count,
    psi,
    psi_null_quantile,
    jensen_shannon_distance,
    hellinger_distance,
    total_variation,
    largest_difference,
    chi_square_statistic,
    chi_square_p_value,
    adjusted_p_value,
    ks_statistic,
    ks_p_value,
    wasserstein_distance,
    clipped_share,
    out_of_range_share,
    out_of_range_p_value,
    reference_null_share,
    window_null_share,
    null_share_z,
    null_share_p_value,
    new_category_share,
    is_constant,
    is_all_null,
    scoring_epoch
from persistent_alarms
