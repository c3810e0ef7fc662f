{#  What decide_retrain reads besides the policy: the newest window of a champion, and how its realised
    quality stands against the holdout at its registration. -#}

{# The champion's newest window of a monitoring table, up to each judged day.
   champions: relation with task, as_of_date, champion_version; drift: relation with task,
   model_version, as_of_date. Columns: task, judged_as_of_date, model_version, as_of_date. -#}
{% macro newest_windows(champions, drift) %}
    select
        champions.task,
        champions.as_of_date as judged_as_of_date,
        champions.champion_version as model_version,
        max(drift.as_of_date) as as_of_date
    from {{ champions }} as champions
    inner join {{ drift }} as drift
        on
            champions.task = drift.task
            and champions.champion_version = drift.model_version
            and drift.as_of_date <= champions.as_of_date
    group by champions.task, champions.as_of_date, champions.champion_version
{%- endmacro %}

{# The champion's primary metric over its last policy.decay_windows mature windows against its holdout.
   champions: relation with task, as_of_date, champion_version.
   Columns: task, judged_as_of_date, holdout_value, realised_value, quality_upper_bound (of holdout
   minus realised, one-sided at policy.alpha, below 0: worse than at registration), quality_window_count,
   quality_row_count. The wider of the intervals clustered by unit and by date counts. -#}
{% macro realised_decay(champions) %}
    select
        compared.task,
        compared.judged_as_of_date,
        compared.champion_value as holdout_value,
        compared.challenger_value as realised_value,
        case
            when compared.valid_row_count = compared.row_count
                then compared.difference + case
                    when compared.cluster_half_width is not null and compared.date_half_width is not null
                        then greatest(compared.cluster_half_width, compared.date_half_width)
                end
        end as quality_upper_bound,
        compared.date_count as quality_window_count,
        compared.row_count as quality_row_count
    from (
        select
            differences.*,
            {{ half_width('differences', 'cluster', 'differences.alpha_z') }} as cluster_half_width,
            {{ half_width('differences', 'date', 'differences.alpha_z') }} as date_half_width
        from (
            select
                clustered.*,
                task_policy.alpha_z
            from ({{ decay_differences(champions) }}) as clustered
            inner join {{ ref('task_policy') }} as task_policy using (task)
        ) as differences
    ) as compared
{%- endmacro %}

{# The paired comparison of each labelled row's loss (as the challenger's part) with the holdout value (as the
   champion's part). Columns of clustered_difference, keys task and judged_as_of_date. -#}
{% macro decay_differences(champions) %}
    with

    mature_windows as (
        select
            champions.task,
            champions.as_of_date as judged_as_of_date,
            champions.champion_version,
            scored.as_of_date,
            row_number() over (
                partition by champions.task, champions.as_of_date
                order by scored.as_of_date desc
            ) as age
        from {{ champions }} as champions
        inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
        inner join (
            select distinct
                task,
                model_version,
                as_of_date
            from {{ source('recorded', 'scoring_runs') }}
        ) as scored
            on
                champions.task = scored.task
                and champions.champion_version = scored.model_version
                and {{ add_days('scored.as_of_date', 'declared_tasks.horizon_days') }} <= champions.as_of_date
    ),

    judged_windows as (
        select mature_windows.*
        from mature_windows
        inner join {{ ref('task_policy') }} as task_policy using (task)
        where mature_windows.age <= task_policy.decay_windows
    ),

    parts as (
        {%- for task in var('tasks') %}
        select
            judged_windows.task,
            judged_windows.judged_as_of_date,
            outcomes.cluster_id,
            outcomes.as_of_date,
            metrics.metric_value as champion_part,
            case metrics.metric
                {%- for metric in loss_metrics() %}
                when '{{ metric }}' then outcomes.{{ metric }}
                {%- endfor %}
            end as challenger_part,
            1E0 as weight
        from judged_windows
        inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
        inner join {{ source('recorded', 'model_metrics') }} as metrics
            on
                judged_windows.task = metrics.task
                and judged_windows.champion_version = metrics.model_version
                and declared_tasks.primary_metric = metrics.metric
                and metrics.scorer = 'model'
                and metrics.split = 'holdout'
        inner join {{ ref('outcomes_' ~ task) }} as outcomes
            on
                judged_windows.champion_version = outcomes.model_version
                and judged_windows.as_of_date = outcomes.as_of_date
                and outcomes.label_known_at <= judged_windows.judged_as_of_date
        where
            judged_windows.task = '{{ task }}'
            and outcomes.as_of_date >= (select min(as_of_date) from judged_windows where task = '{{ task }}')
        {{ 'union all' if not loop.last }}
        {%- endfor %}
    )

    {{ clustered_difference('parts', ['task', 'judged_as_of_date'], '1E0') }}
{%- endmacro %}
