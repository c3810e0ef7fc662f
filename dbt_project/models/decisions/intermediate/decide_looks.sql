{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with

numbered_periods as (
    select
        periods.task,
        periods.as_of_date,
        lag(periods.as_of_date) over (
            partition by periods.task
            order by periods.as_of_date
        ) as previous_as_of_date
    from ({{ live_periods() }}) as periods
),

-- A day is asked once, in order: one before the last asked day is never added to the chain.
asked_periods as (
    select numbered_periods.*
    from numbered_periods
    {%- if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as asked
        where
            asked.task = numbered_periods.task
            and asked.as_of_date >= numbered_periods.as_of_date
    )
    {%- endif %}
),

first_acts as (
    select
        task,
        min(as_of_date) as as_of_date
    from {{ source('recorded', 'promotions') }}
    group by task
),

-- The champion that stood before anything was decided on the day.
champions as (
    select
        asked_periods.*,
        roles.model_version as champion_version,
        roles.valid_from_date as champion_from_date
    from asked_periods
    inner join first_acts
        on
            asked_periods.task = first_acts.task
            and first_acts.as_of_date < asked_periods.as_of_date
    inner join {{ ref('model_roles') }} as roles
        on
            asked_periods.task = roles.task
            and roles.role = 'champion'
            and roles.valid_from_date <= asked_periods.as_of_date
            and (roles.valid_to_date is null or asked_periods.as_of_date < roles.valid_to_date)
),

scored as (
    select distinct
        task,
        model_version,
        as_of_date
    from {{ source('recorded', 'scoring_runs') }}
),

pairs as (
    select
        champions.*,
        'challenger' as comparison,
        roles.model_version as challenger_version,
        roles.valid_from_date as evidence_from_date
    from champions
    inner join {{ ref('model_roles') }} as roles
        on
            champions.task = roles.task
            and roles.role = 'challenger'
            and roles.valid_from_date <= champions.as_of_date
            and (roles.valid_to_date is null or champions.as_of_date < roles.valid_to_date)

    union all

    select
        champions.*,
        'predecessor' as comparison,
        roles.model_version as challenger_version,
        roles.valid_from_date as evidence_from_date
    from champions
    inner join {{ ref('model_roles') }} as roles
        on
            champions.task = roles.task
            and roles.role = 'predecessor'
            and champions.champion_from_date = roles.valid_from_date
),

-- A window is a scored as_of_date of both versions; mature when the horizon has passed. Only the
-- planned number of them counts, if there is one.
windows as (
    select
        pairs.task,
        pairs.as_of_date,
        pairs.previous_as_of_date,
        pairs.comparison,
        pairs.champion_version,
        pairs.challenger_version,
        scored.as_of_date as window_date,
        row_number() over (
            partition by pairs.task, pairs.as_of_date, pairs.comparison, pairs.challenger_version
            order by scored.as_of_date
        ) as window_number,
        {{ add_days('scored.as_of_date', 'declared_tasks.horizon_days') }} as matured_on_date
    from pairs
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    inner join scored
        on
            pairs.task = scored.task
            and pairs.challenger_version = scored.model_version
            and scored.as_of_date >= pairs.evidence_from_date
            and scored.as_of_date < pairs.as_of_date
    inner join scored as champion_scored
        on
            pairs.task = champion_scored.task
            and pairs.champion_version = champion_scored.model_version
            and scored.as_of_date = champion_scored.as_of_date
),

counted as (
    select
        pairs.task,
        pairs.as_of_date,
        pairs.comparison,
        pairs.champion_version,
        pairs.challenger_version,
        count(windows.window_date) filter (where windows.matured_on_date <= pairs.as_of_date) as window_count,
        count(windows.window_date) filter (where windows.matured_on_date <= pairs.previous_as_of_date)
            as previous_window_count,
        min(windows.window_date) filter (where windows.matured_on_date <= pairs.as_of_date) as first_window_date,
        max(windows.window_date) filter (where windows.matured_on_date <= pairs.as_of_date) as last_window_date
    from pairs
    inner join {{ ref('task_policy') }} as task_policy using (task)
    left join windows
        on
            pairs.task = windows.task
            and pairs.as_of_date = windows.as_of_date
            and pairs.comparison = windows.comparison
            and pairs.challenger_version = windows.challenger_version
            and (
                task_policy.planned_looks = 0
                or windows.window_number
                <= task_policy.first_look_windows + (task_policy.planned_looks - 1) * task_policy.windows_per_look
            )
    group by
        pairs.task,
        pairs.as_of_date,
        pairs.comparison,
        pairs.champion_version,
        pairs.challenger_version
),

-- A task without any act: its newest version is judged alone.
first_versions as (
    select
        asked_periods.task,
        asked_periods.as_of_date,
        'first_version' as comparison,
        max(versions.model_version) as challenger_version
    from asked_periods
    inner join {{ source('recorded', 'model_versions') }} as versions
        on
            asked_periods.task = versions.task
            and versions.cut_off_date <= asked_periods.as_of_date
    left join first_acts on asked_periods.task = first_acts.task
    where first_acts.as_of_date is null or asked_periods.as_of_date <= first_acts.as_of_date
    group by asked_periods.task, asked_periods.as_of_date
),

numbered as (
    select
        counted.*,
        {{ look_number('counted.window_count', 'task_policy.first_look_windows',
            'task_policy.windows_per_look', 'task_policy.planned_looks') }} as look_number,
        {{ look_number('counted.previous_window_count', 'task_policy.first_look_windows',
            'task_policy.windows_per_look', 'task_policy.planned_looks') }} as previous_look_number,
        cast(case
            when counted.comparison = 'challenger'
                then count(*) over (partition by counted.task, counted.as_of_date, counted.comparison)
            else 1
        end as integer) as challenger_count
    from counted
    inner join {{ ref('task_policy') }} as task_policy using (task)
),

judged as (
    select
        numbered.task,
        numbered.as_of_date,
        numbered.comparison,
        numbered.champion_version,
        numbered.challenger_version,
        numbered.window_count,
        numbered.first_window_date,
        numbered.last_window_date,
        numbered.look_number,
        numbered.look_number > numbered.previous_look_number as is_look,
        numbered.challenger_count
    from numbered
    inner join {{ ref('task_policy') }} as task_policy using (task)
    where
        numbered.comparison = 'challenger'
        or task_policy.planned_looks = 0
        or numbered.previous_look_number < task_policy.planned_looks

    union all

    select
        first_versions.task,
        first_versions.as_of_date,
        first_versions.comparison,
        cast(null as integer) as champion_version,
        first_versions.challenger_version,
        0 as window_count,
        cast(null as date) as first_window_date,
        cast(null as date) as last_window_date,
        0 as look_number,
        true as is_look,
        1 as challenger_count
    from first_versions
),

questions as (
    select * from judged

    union all

    -- A day with a champion and nothing to compare it with.
    select
        champions.task,
        champions.as_of_date,
        'none' as comparison,
        champions.champion_version,
        cast(null as integer) as challenger_version,
        0 as window_count,
        cast(null as date) as first_window_date,
        cast(null as date) as last_window_date,
        0 as look_number,
        false as is_look,
        0 as challenger_count
    from champions
    where not exists (
        select 1
        from judged
        where
            judged.task = champions.task
            and judged.as_of_date = champions.as_of_date
    )
)

select
    questions.task,
    questions.as_of_date,
    questions.comparison,
    questions.champion_version,
    questions.challenger_version,
    cast(questions.window_count as integer) as window_count,
    questions.first_window_date,
    questions.last_window_date,
    questions.look_number,
    questions.is_look,
    questions.challenger_count,
    task_policy.planned_looks,
    case when task_policy.planned_looks = 0 then 'always_valid' else 'group_sequential' end as sequential_method,
    case
        when task_policy.planned_looks > 0
            then least(1E0, questions.window_count / cast(
                task_policy.first_look_windows
                + (task_policy.planned_looks - 1) * task_policy.windows_per_look as double
            ))
    end as information_share,
    case
        when task_policy.planned_looks > 0 then boundaries.alpha
        when questions.challenger_count > 0 then task_policy.alpha / questions.challenger_count
    end as alpha,
    boundaries.boundary_z,
    -- From what stood before the first look, and from nothing that may change between two looks.
    case
        when task_policy.planned_looks = 0
            then {{ round_significant(planned_standard_error(
                '(task_policy.planned_effect_share * abs(holdouts.metric_value))', 'task_policy.alpha')) }}
    end as planned_standard_error
from questions
inner join {{ ref('task_policy') }} as task_policy using (task)
inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
left join {{ source('recorded', 'model_metrics') }} as holdouts
    on
        questions.task = holdouts.task
        and questions.champion_version = holdouts.model_version
        and declared_tasks.primary_metric = holdouts.metric
        and holdouts.scorer = 'model'
        and holdouts.split = 'holdout'
        and questions.comparison in ('challenger', 'predecessor')
left join {{ ref('sequential_boundaries') }} as boundaries
    on
        task_policy.planned_looks = boundaries.planned_looks
        and questions.challenger_count = boundaries.challenger_count
        and questions.look_number = boundaries.look_number
        -- The seed is made for this alpha: another one finds no boundary, and nothing is promoted.
        and abs(boundaries.alpha * boundaries.challenger_count - task_policy.alpha) < 1E-9
