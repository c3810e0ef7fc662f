{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with

periods as (
    select
        periods.task,
        periods.as_of_date
    from ({{ live_periods() }}) as periods
    {%- if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as decided
        where
            decided.task = periods.task
            and decided.as_of_date = periods.as_of_date
    )
    {%- endif %}
),

-- A challenger at its last look does not hold up the next training.
comparisons as (
    select
        looks.task,
        looks.as_of_date,
        max(looks.champion_version) as champion_version,
        max(looks.challenger_version) filter (
            where looks.comparison = 'challenger' and not (looks.is_look and looks.look_number = looks.planned_looks)
        ) as compared_version
    from {{ ref('decide_looks') }} as looks
    group by looks.task, looks.as_of_date
),

-- Versions trained before the day: one trained on the day is the consequence of this row.
registered as (
    select
        periods.task,
        periods.as_of_date,
        max(versions.cut_off_date) as newest_cut_off_date,
        max(versions.feature_version) as newest_feature_version
    from periods
    inner join {{ source('recorded', 'model_versions') }} as versions
        on
            periods.task = versions.task
            and versions.cut_off_date < periods.as_of_date
    group by periods.task, periods.as_of_date
),

available as (
    select
        periods.task,
        periods.as_of_date,
        max(declared.feature_version) as available_feature_version
    from periods
    inner join {{ ref('declared_feature_versions') }} as declared
        on
            periods.task = declared.task
            and declared.available_from_date <= periods.as_of_date
    group by periods.task, periods.as_of_date
),

champions as (
    select
        periods.*,
        comparisons.champion_version
    from periods
    inner join comparisons using (task, as_of_date)
    where comparisons.champion_version is not null
),

decay as (
    {{ realised_decay('champions') }}
),

feature_windows as (
    {{ newest_windows('champions', ref('mon_feature_drift')) }}
),

important_features as (
    select
        task,
        model_version,
        feature
    from (
        select
            importances.task,
            importances.model_version,
            importances.feature,
            importances.importance,
            sum(greatest(0E0, importances.importance)) over (
                partition by importances.task, importances.model_version
            ) as total_importance
        from {{ source('recorded', 'feature_importances') }} as importances
    ) as weighed
    inner join {{ ref('task_policy') }} as task_policy using (task)
    where
        weighed.total_importance > 0E0
        and weighed.importance >= task_policy.min_importance_share * weighed.total_importance
),

-- severity `act` says already that the drift has stayed for three of the last five windows.
feature_drift as (
    select
        feature_windows.task,
        feature_windows.judged_as_of_date,
        {{ sorted_set('drift.feature') }} as drifted_features
    from feature_windows
    inner join {{ ref('mon_feature_drift') }} as drift using (task, model_version, as_of_date)
    inner join important_features using (task, model_version, feature)
    where drift.severity = 'act'
    group by feature_windows.task, feature_windows.judged_as_of_date
),

score_windows as (
    {{ newest_windows('champions', ref('mon_score_drift')) }}
),

score_drift as (
    select
        score_windows.task,
        score_windows.judged_as_of_date,
        drift.as_of_date as drift_window_date,
        drift.severity as score_drift_severity
    from score_windows
    inner join {{ ref('mon_score_drift') }} as drift using (task, model_version, as_of_date)
),

signals as (
    select
        periods.task,
        periods.as_of_date,
        comparisons.champion_version,
        comparisons.compared_version,
        registered.newest_cut_off_date,
        {{ days_between('registered.newest_cut_off_date', 'periods.as_of_date') }} as days_since_cut_off,
        task_policy.retrain_after_days,
        registered.newest_feature_version,
        available.available_feature_version,
        decay.holdout_value,
        decay.realised_value,
        decay.quality_upper_bound,
        -task_policy.decay_margin_share * abs(decay.holdout_value) as quality_threshold,
        decay.quality_window_count,
        decay.quality_row_count,
        coalesce(feature_drift.drifted_features, cast([] as varchar[])) as drifted_features,
        score_drift.drift_window_date,
        score_drift.score_drift_severity,
        task_policy.policy_hash,
        coalesce(available.available_feature_version > registered.newest_feature_version, false) as is_new_feature_version,
        coalesce(
            {{ days_between('registered.newest_cut_off_date', 'periods.as_of_date') }} >= task_policy.retrain_after_days,
            false
        ) as is_scheduled,
        coalesce(
            decay.quality_window_count >= task_policy.decay_windows
            and decay.quality_row_count >= task_policy.min_row_count
            and isfinite(decay.quality_upper_bound),
            false
        ) as is_quality_known,
        coalesce(
            decay.quality_window_count >= task_policy.decay_windows
            and decay.quality_row_count >= task_policy.min_row_count
            and isfinite(decay.quality_upper_bound)
            and decay.quality_upper_bound < -task_policy.decay_margin_share * abs(decay.holdout_value),
            false
        ) as is_decayed,
        feature_drift.task is not null as is_feature_drift,
        coalesce(score_drift.score_drift_severity = 'act', false) as is_score_drift
    from periods
    inner join {{ ref('task_policy') }} as task_policy using (task)
    left join comparisons using (task, as_of_date)
    left join registered using (task, as_of_date)
    left join available using (task, as_of_date)
    left join decay
        on
            periods.task = decay.task
            and periods.as_of_date = decay.judged_as_of_date
    left join feature_drift
        on
            periods.task = feature_drift.task
            and periods.as_of_date = feature_drift.judged_as_of_date
    left join score_drift
        on
            periods.task = score_drift.task
            and periods.as_of_date = score_drift.judged_as_of_date
),

decided as (
    select
        signals.*,
        signals.is_new_feature_version or signals.is_scheduled or signals.is_decayed
        or signals.is_feature_drift or signals.is_score_drift as is_wanted,
        case
            when signals.champion_version is null or signals.newest_cut_off_date is null then 'no_decision'
            when signals.compared_version is not null then 'hold'
            when
                signals.is_new_feature_version or signals.is_scheduled or signals.is_decayed
                or signals.is_feature_drift or signals.is_score_drift
                then 'retrain'
            else 'hold'
        end as verdict
    from signals
),

reasons as (
    select
        decided.task,
        decided.as_of_date,
        codes.reason_code
    from decided
    cross join (
        values
        ('no_champion'),
        ('challenger_under_comparison'),
        ('new_feature_version'),
        ('scheduled'),
        ('quality_decay'),
        ('feature_drift'),
        ('score_drift'),
        ('no_signal'),
        ('quality_unknown')
    ) as codes (reason_code)
    where
        case codes.reason_code
            when 'no_champion' then decided.verdict = 'no_decision'
            when 'challenger_under_comparison' then decided.compared_version is not null
            when 'new_feature_version' then decided.verdict <> 'no_decision' and decided.is_new_feature_version
            when 'scheduled' then decided.verdict <> 'no_decision' and decided.is_scheduled
            when 'quality_decay' then decided.is_decayed
            when 'feature_drift' then decided.is_feature_drift
            when 'score_drift' then decided.is_score_drift
            when 'no_signal' then decided.verdict = 'hold' and not decided.is_wanted
            when 'quality_unknown' then decided.verdict = 'hold' and not decided.is_wanted and not decided.is_quality_known
        end
),

reason_lists as (
    select
        task,
        as_of_date,
        {{ sorted_set('reason_code') }} as reason_codes
    from reasons
    group by task, as_of_date
)

select
    decided.task,
    decided.as_of_date,
    cast(decided.verdict as varchar) as verdict,
    reason_lists.reason_codes,
    decided.champion_version,
    decided.compared_version,
    decided.newest_cut_off_date,
    decided.days_since_cut_off,
    decided.retrain_after_days,
    decided.newest_feature_version,
    decided.available_feature_version,
    decided.holdout_value,
    {{ round_significant('decided.realised_value') }} as realised_value,
    {{ round_significant('decided.quality_upper_bound') }} as quality_upper_bound,
    {{ round_significant('decided.quality_threshold') }} as quality_threshold,
    decided.quality_window_count,
    decided.quality_row_count,
    decided.drifted_features,
    decided.drift_window_date,
    cast(decided.score_drift_severity as varchar) as score_drift_severity,
    decided.policy_hash
from decided
inner join reason_lists using (task, as_of_date)
