{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

{%- set losses = loss_metrics() %}
{%- set grain = ['task', 'kind', 'model_version', 'role', 'as_of_date', 'judged_as_of_date', 'slice'] %}
{%- set groups = grain | join(', ') %}

with

thresholds as (
    {{- drift_thresholds() }}
),

-- live periods that are not judged yet
judgement_days as (
    select
        live_periods.task,
        live_periods.judged_as_of_date,
        live_periods.previous_as_of_date
    from (
        select
            task,
            as_of_date as judged_as_of_date,
            lag(as_of_date) over (partition by task order by as_of_date) as previous_as_of_date
        from ({{ live_periods() }}) as periods
    ) as live_periods
    {%- if is_incremental() %}
    left join (
        select
            task,
            max(judged_as_of_date) as last_judged_as_of_date
        from {{ this }}
        group by task
    ) as judged using (task)
    where
        judged.last_judged_as_of_date is null
        or live_periods.judged_as_of_date > judged.last_judged_as_of_date
    {%- endif %}
),

outcomes as (
    select * from {{ ref('outcomes') }}
),

-- a window is judged on the first day at or after its horizon's end ...
matured_windows as (
    select
        runs.task,
        runs.model_version,
        runs.as_of_date,
        judgement_days.judged_as_of_date
    from ({{ current_scoring_runs() }}) as runs
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    inner join judgement_days
        on
            runs.task = judgement_days.task
            and {{ add_days('runs.as_of_date', 'declared_tasks.horizon_days') }}
                <= judgement_days.judged_as_of_date
            and (
                judgement_days.previous_as_of_date is null
                or {{ add_days('runs.as_of_date', 'declared_tasks.horizon_days') }}
                    > judgement_days.previous_as_of_date
            )
),

-- ... and again on each later day that brought it a label
relabelled_windows as (
    select
        outcomes.task,
        outcomes.model_version,
        outcomes.as_of_date,
        judgement_days.judged_as_of_date
    from outcomes
    inner join judgement_days
        on
            outcomes.task = judgement_days.task
            and outcomes.label_known_at = judgement_days.judged_as_of_date
    where outcomes.matured_on_date <= judgement_days.judged_as_of_date
),

judged_windows as (
    select * from matured_windows
    union
    select * from relabelled_windows
),

known_outcomes as (
    select
        outcomes.task,
        outcomes.kind,
        outcomes.model_version,
        outcomes.role,
        outcomes.as_of_date,
        judged_windows.judged_as_of_date,
        outcomes.score,
        outcomes.label_known_at is not null
        and outcomes.label_known_at <= judged_windows.judged_as_of_date
        and (outcomes.label_value is not null or outcomes.label_class is not null) as is_labelled,
        outcomes.label_value,
        {%- for loss in losses %}
        outcomes.{{ loss }},
        {%- endfor %}
        {{ elements(with_slice_of_all('outcomes.slices')) }} as slice
    from outcomes
    inner join judged_windows using (task, model_version, as_of_date)
),

coverage as (
    select
        {{ groups }},
        count(*) as row_count,
        count(*) filter (where is_labelled) as labelled_count
    from known_outcomes
    group by {{ groups }}
),

labelled as (
    select
        *,
        score - label_value as error
    from known_outcomes
    where is_labelled
),

means as (
    select
        {{ groups }},
        {%- for loss in losses %}
        avg({{ loss }}) as {{ loss }},
        {{ standard_error(loss) }} as {{ loss }}_standard_error,
        {%- endfor %}
        avg(error) as mean_error,
        {{ standard_error('error') }} as mean_error_standard_error,
        {{ r_squared('score', 'label_value') }} as r2
    from labelled
    group by {{ groups }}
),

binary_labelled as (
    select * from labelled
    where kind = 'binary'
),

spiegelhalter as (
    select
        {{ groups }},
        {{ spiegelhalter_z('score', 'label_value') }} as spiegelhalter_z
    from binary_labelled
    group by {{ groups }}
),

ranking as (
    {{- ranking_metrics('binary_labelled', grain) }}
),

reliability as (
    {{- reliability_table('binary_labelled', grain) }}
),

calibration as (
    select
        {{ groups }},
        {{ expected_calibration_error() }} as ece
    from reliability
    group by {{ groups }}
),

figures as (
    select *
    from coverage
    left join means using ({{ groups }})
    left join spiegelhalter using ({{ groups }})
    left join ranking using ({{ groups }})
    left join calibration using ({{ groups }})
),

{%- set entries = [] %}
{%- for metric in quality_metrics() %}
{%- do entries.append([
    "'" ~ metric.name ~ "'", 'cast(' ~ metric.value ~ ' as double)',
    'cast(' ~ metric.standard_error ~ ' as double)'
]) %}
{%- endfor %}

metric_rows as (
    {{- unpivot(
        'figures', grain + ['row_count', 'labelled_count'],
        ['metric', 'metric_value', 'standard_error'], entries
    ) }}
),

judged as (
    select
        metric_rows.*,
        metric_rows.labelled_count / cast(metric_rows.row_count as double) as coverage_share,
        {{ is_number('metric_rows.metric_value') }} as is_computed,
        thresholds.minimum_coverage_share,
        thresholds.minimum_labelled_rows
    from metric_rows
    cross join thresholds
    where
        {%- for metric in quality_metrics() %}
        (metric_rows.metric = '{{ metric.name }}' and metric_rows.kind in ('{{ metric.kinds | join("', '") }}'))
        {{- ' or' if not loop.last }}
        {%- endfor %}
)

select
    task,
    model_version,
    role,
    as_of_date,
    judged_as_of_date,
    slice,
    metric,
    case when is_computed then metric_value end as metric_value,
    case when is_computed and {{ is_number('standard_error') }} then standard_error end
        as standard_error,
    row_count,
    labelled_count,
    coverage_share,
    case
        when not coalesce(coverage_share >= minimum_coverage_share, false) then 'immature'
        when is_computed and coalesce(labelled_count >= minimum_labelled_rows, false) then 'ok'
        else 'insufficient'
    end as status
from judged
