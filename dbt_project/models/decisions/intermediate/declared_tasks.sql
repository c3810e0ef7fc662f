{{ config(materialized='table') }}

{%- set rows = [] %}
{%- for task in task_declarations() %}
    {%- do rows.append([
        task.name,
        task.kind,
        {'daily': 1, 'weekly': 7}[task.cadence],
        task.label.horizon_days,
        task.label.get('outcome_days') or task.label.horizon_days,
        task.primary_metric,
        task.features.table,
    ]) %}
{%- endfor %}

{{ literal_rows([
    ['task', 'varchar'],
    ['kind', 'varchar'],
    ['cadence_days', 'integer'],
    ['horizon_days', 'integer'],
    ['outcome_days', 'integer'],
    ['primary_metric', 'varchar'],
    ['feature_table', 'varchar'],
], rows) }}
