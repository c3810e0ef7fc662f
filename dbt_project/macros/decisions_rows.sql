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

{# Outcomes of both versions side by side, labelled or not.
   looks: a relation with the columns of decide_looks.
   Columns: task, judged_as_of_date, challenger_version, unit_id, cluster_id, as_of_date, kind, slices,
   is_labelled (known on the day of the look), label_value, and champion_ / challenger_ of score and of
   each per-row loss. One row per look and unit and as_of_date that both versions scored. -#}
{% macro judged_rows(looks) %}
    {%- for task in var('tasks') %}
    select
        looks.task,
        looks.as_of_date as judged_as_of_date,
        looks.challenger_version,
        challenger.unit_id,
        challenger.cluster_id,
        challenger.as_of_date,
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
    inner join {{ task }}_rows as challenger
        on
            looks.challenger_version = challenger.model_version
            and challenger.as_of_date between looks.first_window_date and looks.last_window_date
    inner join {{ task }}_rows as champion
        on
            looks.champion_version = champion.model_version
            and challenger.as_of_date = champion.as_of_date
            and challenger.unit_id = champion.unit_id
    where looks.task = '{{ task }}'
    {{ 'union all' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# The CTEs that judged_rows reads, one per task, named <task>_rows: outcomes from the first window of
   any look on. They are read twice, so that the engine computes the outcomes once.
   looks: a relation with the columns of decide_looks. -#}
{% macro outcome_rows(looks) %}
    {%- for task in var('tasks') %}
    {{ task }}_rows as (
        select outcomes.*
        from {{ ref('outcomes_' ~ task) }} as outcomes
        where outcomes.as_of_date >= (select min(first_window_date) from {{ looks }} where task = '{{ task }}')
    ),
    {%- endfor %}
{%- endmacro %}

{# The metrics that are means of rows; smaller is better. -#}
{% macro loss_metrics() %}
    {{ return(['log_loss', 'brier_score', 'absolute_error', 'squared_error', 'error_rate']) }}
{% endmacro %}
