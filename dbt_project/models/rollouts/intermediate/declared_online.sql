{{ config(materialized='table') }}

{%- set rows = [] %}
{%- for task in task_declarations() if task.get('online') %}
    {%- if task.name not in var('online_tasks') %}
        {%- do exceptions.raise_compiler_error(
            "task " ~ task.name ~ " declares `online`, but var online_tasks in dbt_project.yml does not name it. Add it there, and "
            ~ "add rollout_units_, rollout_rows_ and rollout_history_" ~ task.name ~ " to models/rollouts/intermediate."
        ) %}
    {%- endif %}
    {%- do rows.append([
        task.name, task.online.outcome.column, true, task.online.outcome.better, none,
    ]) %}
    {%- for guardrail in task.online.get('guardrails', []) %}
        {%- do rows.append([task.name, guardrail.column, false, guardrail.better, guardrail.margin]) %}
    {%- endfor %}
{%- endfor %}

{{ literal_rows([
    ['task', 'varchar'],
    ['metric', 'varchar'],
    ['is_outcome', 'boolean'],
    ['better', 'varchar'],
    ['margin', 'double'],
], rows) }}
