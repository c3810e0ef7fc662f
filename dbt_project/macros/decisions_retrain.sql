{#  What decide_signals reads of a champion besides the policy: its newest windows, and how its realised
    quality stands against the holdout at its registration. -#}

{# The windows that drift and estimates are read over: the last five scored by the champion up to each
   judged day, none older than 70 days, as persistent_alarms counts them.
   champions: relation with task, as_of_date, champion_version.
   Columns: task, judged_as_of_date, model_version, first_window_date, last_window_date, window_count. -#}
{% macro newest_windows(champions) %}
    select
        task,
        judged_as_of_date,
        model_version,
        min(as_of_date) as first_window_date,
        max(as_of_date) as last_window_date,
        count(*) as window_count
    from (
        select
            champions.task,
            champions.as_of_date as judged_as_of_date,
            champions.champion_version as model_version,
            scored.as_of_date,
            row_number() over (
                partition by champions.task, champions.as_of_date
                order by scored.as_of_date desc
            ) as age
        from {{ champions }} as champions
        inner join ({{ current_scoring_runs() }}) as scored
            on
                champions.task = scored.task
                and champions.champion_version = scored.model_version
                and scored.as_of_date <= champions.as_of_date
                and scored.as_of_date >= {{ add_days('champions.as_of_date', -70) }}
    ) as scored_windows
    where age <= 5
    group by task, judged_as_of_date, model_version
{%- endmacro %}

{# The champion's last policy.decay_windows mature windows up to each judged day, one row per window.
   champions: relation with task, as_of_date, champion_version.
   Columns: task, judged_as_of_date, champion_version, as_of_date. -#}
{% macro mature_windows(champions) %}
    select
        aged.task,
        aged.judged_as_of_date,
        aged.champion_version,
        aged.as_of_date
    from (
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
        inner join ({{ current_scoring_runs() }}) as scored
            on
                champions.task = scored.task
                and champions.champion_version = scored.model_version
                and {{ add_days('scored.as_of_date', 'declared_tasks.horizon_days') }} <= champions.as_of_date
    ) as aged
    inner join {{ ref('task_policy') }} as task_policy using (task)
    where aged.age <= task_policy.decay_windows
{%- endmacro %}

{# The champion's primary metric over its mature windows against its holdout.
   mature_windows: a CTE made by the macro of that name.
   Columns: task, judged_as_of_date, holdout_value, realised_value, quality_upper_bound (of holdout
   minus realised, one-sided at policy.alpha, below 0: worse than at registration), quality_window_count,
   quality_row_count. The interval is clustered two ways, by unit and by date. -#}
{% macro realised_decay(mature_windows) %}
    select
        compared.task,
        compared.judged_as_of_date,
        compared.champion_value as holdout_value,
        compared.challenger_value as realised_value,
        case
            when compared.valid_row_count = compared.row_count
                then compared.difference + {{ two_way('compared', 'half_width') }}
        end as quality_upper_bound,
        compared.date_count as quality_window_count,
        compared.row_count as quality_row_count
    from (
        select
            differences.*,
            {{ half_widths('differences', 'differences.alpha_z') }}
        from (
            select
                clustered.*,
                task_policy.alpha_z
            from ({{ decay_differences(mature_windows) }}) as clustered
            inner join {{ ref('task_policy') }} as task_policy using (task)
        ) as differences
    ) as compared
{%- endmacro %}

{# The paired comparison of each labelled row's loss (as the challenger's part) with the holdout value (as the
   champion's part). Columns of clustered_difference, keys task and judged_as_of_date. -#}
{% macro decay_differences(mature_windows) %}
    with

    parts as (
        select
            mature_windows.task,
            mature_windows.judged_as_of_date,
            outcomes.cluster_id,
            outcomes.as_of_date as block_date,
            metrics.metric_value as champion_part,
            case metrics.metric
                {%- for metric in loss_metrics() %}
                when '{{ metric }}' then outcomes.{{ metric }}
                {%- endfor %}
            end as challenger_part,
            1E0 as weight
        from {{ mature_windows }} as mature_windows
        inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
        inner join {{ source('recorded', 'model_metrics') }} as metrics
            on
                mature_windows.task = metrics.task
                and mature_windows.champion_version = metrics.model_version
                and declared_tasks.primary_metric = metrics.metric
                and metrics.scorer = 'model'
                and metrics.split = 'holdout'
        inner join {{ ref('outcomes') }} as outcomes
            on
                mature_windows.task = outcomes.task
                and mature_windows.champion_version = outcomes.model_version
                and mature_windows.as_of_date = outcomes.as_of_date
                and outcomes.label_known_at <= mature_windows.judged_as_of_date
        where outcomes.as_of_date >= (select min(as_of_date) from {{ mature_windows }})
    )

    {{ clustered_difference('parts', ['task', 'judged_as_of_date'], '1E0') }}
{%- endmacro %}

{# The text of a double for people; a missing one is `unknown`. -#}
{% macro number_or_unknown(value) -%}
    coalesce({{ readable_number(value) }}, 'unknown')
{%- endmacro %}

{# What a signal says, for people. rel: a relation with the columns of decide_signals before the sentence. -#}
{% macro signal_sentence(rel) %}
    concat(
        replace({{ rel }}.signal, '_', ' '),
        case
            when {{ rel }}.status = 'missing' then ': nothing to judge it by'
            when {{ rel }}.status = 'insufficient' then ': too little to judge it by'
            when {{ rel }}.is_firing then ' asks to ' || {{ rel }}.action
            else ' asks for nothing'
        end,
        case
            when {{ rel }}.status = 'missing' then ''
            else case {{ rel }}.signal
                when 'schedule' then concat(
                    ': ', {{ number_or_unknown(rel ~ '.value') }}, ' days since the newest cut-off, the schedule is ',
                    {{ number_or_unknown(rel ~ '.threshold') }}
                )
                when 'new_feature_version' then concat(
                    ': version ', {{ number_or_unknown(rel ~ '.value') }}, ' of ', {{ joined_list(rel ~ '.subjects') }},
                    ' is available, versions up to ', {{ number_or_unknown(rel ~ '.threshold') }}, ' are trained on'
                )
                when 'quality_decay' then concat(
                    ': realised ', {{ joined_list(rel ~ '.subjects') }}, ' ', {{ number_or_unknown(rel ~ '.observed_value') }},
                    ', at registration ', {{ number_or_unknown(rel ~ '.reference_value') }},
                    '; bound of the difference ', {{ number_or_unknown(rel ~ '.value') }},
                    ', decay below ', {{ number_or_unknown(rel ~ '.threshold') }}
                )
                when 'estimated_decay' then concat(
                    ': estimated ', {{ joined_list(rel ~ '.subjects') }}, ' ', {{ number_or_unknown(rel ~ '.observed_value') }},
                    ', on the reference ', {{ number_or_unknown(rel ~ '.reference_value') }},
                    '; alarms in ', {{ rel }}.alarming_window_count, ' windows'
                )
                when 'feature_drift' then concat(
                    ': lasting drift in features with ', {{ number_or_unknown(rel ~ '.value') }},
                    ' of all importance, needed ', {{ number_or_unknown(rel ~ '.threshold') }},
                    case when len({{ rel }}.subjects) > 0 then ' (' || {{ joined_list(rel ~ '.subjects') }} || ')' end
                )
                when 'score_drift' then concat(
                    ': PSI of the score ', {{ number_or_unknown(rel ~ '.observed_value') }},
                    ', large above ', {{ number_or_unknown(rel ~ '.reference_value') }},
                    '; alarms in ', {{ rel }}.alarming_window_count, ' windows'
                )
                when 'domain_drift' then concat(
                    ': a classifier tells the window from the reference with an AUC of ',
                    {{ number_or_unknown(rel ~ '.observed_value') }}, ', alarm above ',
                    {{ number_or_unknown(rel ~ '.reference_value') }},
                    '; alarms in ', {{ rel }}.alarming_window_count, ' windows'
                )
                when 'champion_worse' then concat(
                    ': bound of the predecessor''s lead ', {{ number_or_unknown(rel ~ '.observed_value') }},
                    ', margin ', {{ number_or_unknown(rel ~ '.reference_value') }},
                    ' (', {{ joined_list(rel ~ '.subjects') }}, ')'
                )
            end
        end,
        case
            when {{ rel }}.window_count > 0
                then concat(
                    '; windows ', {{ rel }}.first_window_date, ' to ', {{ rel }}.last_window_date,
                    ' (', {{ rel }}.window_count, ')'
                )
        end
    )
{%- endmacro %}

{# The texts of a list with commas between; an empty text for an empty list. -#}
{% macro joined_list(list) -%}
    {{ return(adapter.dispatch('joined_list')(list)) }}
{%- endmacro %}

{% macro default__joined_list(list) -%}
    array_to_string({{ list }}, ', ')
{%- endmacro %}
