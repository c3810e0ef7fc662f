{{ config(materialized='table') }}

{%- set rows = [] %}
{%- for task in task_declarations() %}
    {%- for version, available_from in task.features.versions.items() %}
        {%- do rows.append([task.name, task.features.table, version, available_from]) %}
    {%- endfor %}
{%- endfor %}

{{ literal_rows([
    ['task', 'varchar'],
    ['feature_table', 'varchar'],
    ['feature_version', 'integer'],
    ['available_from_date', 'date'],
], rows) }}
