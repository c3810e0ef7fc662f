{{ config(materialized='table') }}

{%- set rows = [] %}
{%- for task in task_declarations() %}
    {%- for guardrail in task.get('guardrails', []) %}
        {%- do rows.append([task.name, guardrail.metric, guardrail.margin]) %}
    {%- endfor %}
{%- endfor %}

{{ literal_rows([
    ['task', 'varchar'],
    ['metric', 'varchar'],
    ['margin', 'double'],
], rows) }}
