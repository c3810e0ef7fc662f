"""The queries of a page about quality, calibration and drift, window by window."""

from __future__ import annotations

NEWEST_WINDOWS = 60  # columns of the heat map
NEWEST_CALIBRATIONS = 4  # windows of the calibration chart

# How far a distance lies from its floor, the least value that counts: the heat map's five shades.
HEAT_BANDS = (
    "less than half its floor",
    "below its floor",
    "1 to 2 floors",
    "2 to 4 floors",
    "more than 4 floors",
)

# A window that was scored and has no figure yet is shown as waiting, not left out.
QUALITY = """
    with
    judged as (
        select
            *,
            row_number() over (
                partition by model_version, as_of_date
                order by judged_as_of_date desc
            ) as judged_rank
        from monitoring.mon_quality
        where task = $task and slice = 'all' and metric = $primary_metric
    )
    select
        scored.model_version,
        scored.role,
        scored.as_of_date,
        coalesce(judged.status, 'waiting') as status,
        judged.metric_value,
        judged.metric_value - 1.96 * judged.standard_error as lower_bound,
        judged.metric_value + 1.96 * judged.standard_error as upper_bound,
        scored.row_count,
        coalesce(judged.labelled_count, 0) as labelled_count
    from monitoring.mon_scoring_runs as scored
    left join judged
        on
            scored.model_version = judged.model_version
            and scored.as_of_date = judged.as_of_date
            and judged.judged_rank = 1
    where scored.task = $task and scored.is_current
    order by scored.as_of_date, scored.model_version
"""

# The champion's own holdout figure and that of the baseline, over the days that it was champion.
HOLDOUT = """
    select
        roles.model_version,
        metrics.scorer,
        metrics.metric_value,
        roles.valid_from_date as first_date,
        least(
            coalesce(roles.valid_to_date, date '9999-12-31'),
            (select max(as_of_date) from recorded.scoring_runs where task = $task)
        ) as last_date
    from decisions.model_roles as roles
    inner join recorded.model_metrics as metrics using (task, model_version)
    where
        roles.task = $task
        and roles.role = 'champion'
        and metrics.split = 'holdout'
        and metrics.scorer in ('model', 'baseline')
        and metrics.metric = $primary_metric
        and roles.valid_from_date
        <= (select max(as_of_date) from recorded.scoring_runs where task = $task)
    order by roles.valid_from_date, metrics.scorer
"""

ESTIMATES = """
    select
        model_version,
        as_of_date,
        method,
        estimated_value,
        lower_bound,
        upper_bound,
        reference_value,
        is_alarming,
        alarming_window_count,
        status
    from monitoring.mon_estimated_quality
    where task = $task and role = 'champion' and metric = $primary_metric
    order by as_of_date
"""

DRIFT = f"""
    with
    windows as (
        select distinct as_of_date
        from recorded.scoring_runs
        where task = $task and role = 'champion'
        order by as_of_date desc
        limit {NEWEST_WINDOWS}
    ),
    floors as (
        select
            max(threshold_value) filter (where name = 'psi_warn') as psi_warn,
            max(threshold_value) filter (where name = 'domain_auc') as domain_auc
        from policy.drift_thresholds
    ),
    importances as (
        select feature, importance
        from recorded.feature_importances
        where
            task = $task
            and model_version = (
                select max(model_version) from monitoring.mon_feature_drift
                where
                    task = $task
                    and role = 'champion'
                    and as_of_date = (select max(as_of_date) from windows)
            )
    ),
    subjects as (
        select
            0 as family,
            'the score itself' as subject,
            cast(null as double) as importance,
            model_version,
            as_of_date,
            status,
            severity,
            reason_code,
            alarming_window_count,
            'PSI' as measure,
            psi as distance,
            greatest(psi_null_quantile, floors.psi_warn) as least_distance,
            window_row_count
        from monitoring.mon_score_drift
        cross join floors
        where task = $task and role = 'champion'

        union all

        select
            1 as family,
            'all features together' as subject,
            cast(null as double) as importance,
            model_version,
            as_of_date,
            status,
            severity,
            reason_code,
            alarming_window_count,
            'AUC above 0.5' as measure,
            greatest(roc_auc - 0.5, 0) as distance,
            floors.domain_auc - 0.5 as least_distance,
            window_row_count
        from monitoring.mon_domain_drift
        cross join floors
        where task = $task and role = 'champion'

        union all

        select
            2 as family,
            drift.feature as subject,
            importances.importance,
            drift.model_version,
            drift.as_of_date,
            drift.status,
            drift.severity,
            drift.reason_code,
            drift.alarming_window_count,
            'PSI' as measure,
            drift.psi as distance,
            greatest(drift.psi_null_quantile, floors.psi_warn) as least_distance,
            drift.window_row_count
        from monitoring.mon_feature_drift as drift
        cross join floors
        left join importances using (feature)
        where drift.task = $task and drift.role = 'champion'
    )
    select
        subjects.*,
        subjects.reason_code = 'excepted' as is_excepted,
        case
            when subjects.status <> 'ok' then null
            when not coalesce(isfinite(subjects.distance), false) then null
            when subjects.distance < 0.5 * subjects.least_distance then 0
            when subjects.distance < subjects.least_distance then 1
            when subjects.distance < 2 * subjects.least_distance then 2
            when subjects.distance < 4 * subjects.least_distance then 3
            else 4
        end as heat
    from subjects
    inner join windows using (as_of_date)
    order by
        subjects.family,
        subjects.importance desc nulls last,
        subjects.subject,
        subjects.as_of_date
"""

CALIBRATION = f"""
    with
    judged as (
        select
            calibration.*,
            dense_rank() over (order by calibration.as_of_date desc) as window_rank,
            dense_rank() over (
                partition by calibration.as_of_date
                order by calibration.judged_as_of_date desc
            ) as judged_rank
        from monitoring.mon_calibration as calibration
        inner join monitoring.mon_scoring_runs as scored
            on
                calibration.task = scored.task
                and calibration.model_version = scored.model_version
                and calibration.as_of_date = scored.as_of_date
                and scored.role = 'champion'
                and scored.is_current
        where calibration.task = $task and calibration.status = 'ok'
    )
    select
        model_version,
        as_of_date,
        bin,
        row_count,
        mean_score,
        mean_label,
        mean_label - 1.96 * standard_error as lower_bound,
        mean_label + 1.96 * standard_error as upper_bound,
        window_rank
    from judged
    where window_rank <= {NEWEST_CALIBRATIONS} and judged_rank = 1
    order by as_of_date, bin
"""
