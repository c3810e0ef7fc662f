{{ config(materialized='table') }}

{#- What each task is judged by: its primary metric, its guardrails, and every metric of its kind
    (none of which may become significantly worse). -#}
{%- set rows = [] %}
{%- for task in task_declarations() %}
    {%- set metrics = [task.primary_metric] + metrics_of_kind(task.kind) %}
    {%- do metrics.extend(task.get('guardrails', []) | map(attribute='metric') | list) %}
    {%- for metric in metrics | unique %}
        {%- do rows.append([task.name, metric, metric == task.primary_metric]) %}
    {%- endfor %}
{%- endfor %}

{{ literal_rows([
    ['task', 'varchar'],
    ['metric', 'varchar'],
    ['is_primary', 'boolean'],
], rows) }}
