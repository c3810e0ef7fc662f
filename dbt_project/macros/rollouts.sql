{#  Rollouts: two versions serve at once, each its arm of the covered units. What a task declares under
    `online`, who is covered and in which arm, and what became of them. Nothing here decides. -#}

{# What a task declares under `online`. While parsing, the same fields, empty. -#}
{% macro task_online(task) %}
    {% set online = task_declaration(task).get('online') %}
    {% if execute and not online %}
        {% do exceptions.raise_compiler_error(
            "var online_tasks in dbt_project.yml names " ~ task ~ ", whose declaration has no `online`. "
            ~ "Add it to config.meta.task of train_" ~ task ~ ", or take the name out of the list."
        ) %}
    {% endif %}
    {{ return(online or {'unit': [], 'outcome': {'column': 'outcome', 'horizon_days': 0}, 'covariate': 'covariate', 'guardrails': []}) }}
{% endmacro %}

{# The columns of the outcome table that a task's arms are compared in: the outcome first, then the guardrails. -#}
{% macro online_metrics(task) %}
    {% set online = task_online(task) %}
    {% set metrics = [online.outcome.column] %}
    {% for guardrail in online.get('guardrails', []) %}
        {% do metrics.append(guardrail.column) %}
    {% endfor %}
    {{ return(metrics) }}
{% endmacro %}

{# The same metrics as rows for unpivot: name and value. relation: where the columns stand. -#}
{% macro online_metric_entries(task, relation) %}
    {% set entries = [] %}
    {% for metric in online_metrics(task) %}
        {% do entries.append(["'" ~ metric ~ "'", 'cast(' ~ relation ~ '.' ~ metric ~ ' as double)']) %}
    {% endfor %}
    {{ return(entries) }}
{% endmacro %}

{# The name of a unit: its columns joined by `|`. relation: where they stand. -#}
{% macro rollout_unit_id(task, relation) -%}
    concat_ws('|'
    {%- for column in task_online(task).unit -%}
    , coalesce(cast({{ relation }}.{{ column }} as varchar), '')
    {%- endfor %})
{%- endmacro %}

{# The join of two relations on the task's entity key and as_of_date. -#}
{% macro same_entity(task, first, second) -%}
    {%- for column in task_declaration(task).get('entity_key', []) + ['as_of_date'] -%}
    {{ first }}.{{ column }} = {{ second }}.{{ column }}{{ ' and ' if not loop.last }}
    {%- endfor -%}
{%- endmacro %}

{# Each unit that was given an arm, with the version that scores it and the as_of_dates for which that holds:
   from serves_from_date, until serves_to_date (not included; 9999-12-31: still).
   stages: ref of rollout_stages. -#}
{% macro served_arms(task, stages) %}
    select
        stages.rollout_id,
        assignments.unit_id,
        assignments.arm,
        case assignments.arm when 'treatment' then stages.treatment_version else stages.control_version end
            as model_version,
        greatest(assignments.first_as_of_date, stages.rollout_from_date) as serves_from_date,
        coalesce(stages.rollout_to_date, cast('9999-12-31' as date)) as serves_to_date
    from {{ stages }} as stages
    inner join {{ source('recorded', 'assignments') }} as assignments using (rollout_id)
    where
        stages.task = '{{ task }}'
        and stages.stage_number = 1
{%- endmacro %}

{# What the task serves: the champion's prediction of each entity, and in a rollout that of the entity's arm.
   A treated entity that the treatment did not score has no row, and the test on the SQL model fails: the
   champion's score in its place would be counted for the wrong arm. -#}
{% macro served_predictions(task, stages) %}
with

arms as (
    {{- served_arms(task, stages) }}
)

select
    {{ prediction_columns(task) }},
    arms.arm
from {{ source('recorded', 'predictions_' ~ task) }} as predictions
left join arms
    on
        {{ rollout_unit_id(task, 'predictions') }} = arms.unit_id
        and predictions.as_of_date >= arms.serves_from_date
        and predictions.as_of_date < arms.serves_to_date
where
    case
        when arms.arm = 'treatment' then predictions.model_version = arms.model_version
        else predictions.role = 'champion'
    end
{%- endmacro %}

{# The units of a task's scoring set at each as_of_date. scoring_set: version 1, which every unit is in. -#}
{% macro rollout_units(task, scoring_set) %}
select distinct
    '{{ task }}' as task,
    scored.as_of_date,
    {{ rollout_unit_id(task, 'scored') }} as unit_id
from {{ scoring_set }} as scored
{%- endmacro %}

{# What became of the entities of units with an arm, one row for each metric that is compared.
   stages: ref of rollout_stages; scoring_set: as in rollout_units; outcome: ref of the outcome table. -#}
{% macro rollout_rows(task, stages, scoring_set, outcome) %}
{%- set online = task_online(task) %}
with

arms as (
    {{- served_arms(task, stages) }}
),

entities as (
    select
        arms.rollout_id,
        '{{ task }}' as task,
        scored.as_of_date,
        arms.unit_id,
        arms.arm,
        scored.as_of_date = arms.serves_from_date as is_first,
        predictions.score is not null as is_scored,
        cast(scored.{{ online.covariate }} as double) as covariate_value,
        {{ add_days('scored.as_of_date', online.outcome.horizon_days) }} as matured_on_date,
        outcomes.known_at
        {%- for metric in online_metrics(task) %},
        outcomes.{{ metric }}
        {%- endfor %}
    from {{ scoring_set }} as scored
    inner join arms
        on
            {{ rollout_unit_id(task, 'scored') }} = arms.unit_id
            and scored.as_of_date >= arms.serves_from_date
            and scored.as_of_date < arms.serves_to_date
    left join {{ source('recorded', 'predictions_' ~ task) }} as predictions
        on {{ same_entity(task, 'scored', 'predictions') }} and arms.model_version = predictions.model_version
    left join {{ outcome }} as outcomes
        on {{ same_entity(task, 'scored', 'outcomes') }}
)

{{ unpivot(
    'entities',
    ['rollout_id', 'task', 'as_of_date', 'unit_id', 'arm', 'is_first', 'is_scored', 'covariate_value', 'matured_on_date', 'known_at'],
    ['metric', 'metric_value'],
    online_metric_entries(task, 'entities')
) }}
{%- endmacro %}

{# How much each compared metric varied between units in each period whose outcome is known: from it the
   standard error that a rollout will have is planned. outcome: ref of the outcome table. -#}
{% macro rollout_history(task, outcome) %}
with

outcomes as (
    select
        known.*,
        {{ rollout_unit_id(task, 'known') }} as unit_id
    from {{ outcome }} as known
),

unit_rows as (
    {{- unpivot('outcomes', ['as_of_date', 'unit_id', 'known_at'], ['metric', 'metric_value'],
        online_metric_entries(task, 'outcomes')) }}
),

unit_values as (
    select
        as_of_date,
        metric,
        unit_id,
        max(known_at) as known_at,
        avg({{ exact('metric_value') }}) as unit_value
    from unit_rows
    group by as_of_date, metric, unit_id
)

select
    '{{ task }}' as task,
    as_of_date,
    metric,
    max(known_at) as known_at,
    count(unit_value) as unit_count,
    -- of a difference between two halves of all units
    {{ round_significant('2E0 * stddev_samp(unit_value) / sqrt(nullif(cast(count(unit_value) as double), 0E0))') }}
        as planned_standard_error
from unit_values
group by as_of_date, metric
{%- endmacro %}

{# The evidence columns of decide_rollout: name -> SQL type. -#}
{% macro rollout_columns() %}
    {{ return({
        'rollout_id': 'varchar',
        'task': 'varchar',
        'as_of_date': 'date',
        'purpose': 'varchar',
        'control_version': 'integer',
        'treatment_version': 'integer',
        'verdict': 'varchar',
        'reason_codes': 'varchar[]',
        'coverage_share': 'double',
        'next_coverage_share': 'double',
        'stage_number': 'integer',
        'day_count': 'integer',
        'stage_period_count': 'integer',
        'metric': 'varchar',
        'control_assigned_count': 'bigint',
        'treatment_assigned_count': 'bigint',
        'control_scored_count': 'bigint',
        'treatment_scored_count': 'bigint',
        'control_unit_count': 'bigint',
        'treatment_unit_count': 'bigint',
        'control_sum': 'double',
        'treatment_sum': 'double',
        'control_sum_of_squares': 'double',
        'treatment_sum_of_squares': 'double',
        'difference': 'double',
        'standard_error': 'double',
        'theta': 'double',
        'cuped_difference': 'double',
        'cuped_standard_error': 'double',
        'planned_standard_error': 'double',
        'alpha': 'double',
        'lower_bound': 'double',
        'upper_bound': 'double',
        'policy_hash': 'varchar',
        'checks_hash': 'varchar',
    }) }}
{% endmacro %}

{# The columns of a check of a rollout: name -> SQL type. -#}
{% macro rollout_check_columns() %}
    {{ return({
        'check_name': 'varchar',
        'metric': 'varchar',
        'value': 'double',
        'threshold': 'double',
        'lower_bound': 'double',
        'upper_bound': 'double',
        'p_value': 'double',
        'control_count': 'bigint',
        'treatment_count': 'bigint',
        'is_passed': 'boolean',
        'is_breach': 'boolean',
        'status': 'varchar',
        'reason_code': 'varchar',
    }) }}
{% endmacro %}

{# Aggregate: the hash of a question's checks, in the order of their names.
   checks: relation with the columns of rollout_check_columns. -#}
{% macro rollout_checks_hash(checks) -%}
    {{ sha256('string_agg(' ~ canonical_text(checks, rollout_check_columns())
        ~ ", ';' order by " ~ checks ~ ".check_name, " ~ checks ~ ".metric)") }}
{%- endmacro %}

{# Aggregate: the checks as a list of structs, in the order of their names. -#}
{% macro rollout_check_list(checks) -%}
    {{ return(adapter.dispatch('rollout_check_list')(checks)) }}
{%- endmacro %}

{% macro default__rollout_check_list(checks) -%}
    list(struct_pack(
        {%- for column, data_type in rollout_check_columns().items() %}
        {{ column }} := cast({{ checks }}.{{ column }} as {{ data_type }}){{ ',' if not loop.last }}
        {%- endfor %}
    ) order by {{ checks }}.check_name, {{ checks }}.metric)
{%- endmacro %}
