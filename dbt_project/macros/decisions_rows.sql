{#  The rows a look judges: what both versions scored in its windows. -#}

{# The looks of `decide_looks` that {{ this }} has not judged yet. Columns of decide_looks. -#}
{% macro looks_to_judge() %}
    select looks.*
    from {{ ref('decide_looks') }} as looks
    where
        looks.is_look
        {%- if is_incremental() %}
        and not exists (
            select 1
            from {{ this }} as judged
            where
                judged.task = looks.task
                and judged.as_of_date = looks.as_of_date
                and judged.challenger_version = looks.challenger_version
        )
        {%- endif %}
{%- endmacro %}

{# Outcomes of both versions side by side, labelled or not. Any number of tasks and looks at once.
   looks: a relation with the columns of decide_looks.
   Columns: task, judged_as_of_date, challenger_version, unit_id, cluster_id, as_of_date, block_date, kind, slices,
   is_labelled (known on the day of the look), label_value, and champion_ / challenger_ of score and of
   each per-row loss. block_date: windows closer together than the outcome takes share days, and with them
   the shocks of those days; counted from the first window, those within one outcome's length are one block. One row per look and unit and as_of_date that both versions scored. -#}
{% macro judged_rows(looks) %}
    with

    -- Read twice, so that the engine computes the outcomes once.
    outcome_rows as (
        select outcomes.*
        from {{ ref('outcomes') }} as outcomes
        where outcomes.as_of_date >= (select min(first_window_date) from {{ looks }})
    )

    select
        looks.task,
        looks.as_of_date as judged_as_of_date,
        looks.challenger_version,
        challenger.unit_id,
        challenger.cluster_id,
        challenger.as_of_date,
        {{ add_days('looks.first_window_date',
            'floor(' ~ days_between('looks.first_window_date', 'challenger.as_of_date')
            ~ ' / cast(declared_tasks.outcome_days as double)) * declared_tasks.outcome_days') }} as block_date,
        challenger.kind,
        challenger.slices,
        coalesce(challenger.label_known_at <= looks.as_of_date, false) as is_labelled,
        challenger.label_value,
        {%- for side in ['champion', 'challenger'] %}
        {%- for column in ['score'] + loss_metrics() %}
        {{ side }}.{{ column }} as {{ side }}_{{ column }}{{ ',' if not loop.last }}
        {%- endfor %}{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ looks }} as looks
    inner join {{ ref('declared_tasks') }} as declared_tasks on looks.task = declared_tasks.task
    inner join outcome_rows as challenger
        on
            looks.task = challenger.task
            and looks.challenger_version = challenger.model_version
            and challenger.as_of_date between looks.first_window_date and looks.last_window_date
    inner join outcome_rows as champion
        on
            looks.task = champion.task
            and looks.champion_version = champion.model_version
            and challenger.as_of_date = champion.as_of_date
            and challenger.unit_id = champion.unit_id
{%- endmacro %}

{# The metrics that are means of rows; smaller is better. -#}
{% macro loss_metrics() %}
    {{ return(['log_loss', 'brier_score', 'absolute_error', 'squared_error', 'error_rate']) }}
{% endmacro %}
