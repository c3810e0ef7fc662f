{{ config(materialized='table') }}

{%- set rows = [] %}
{%- for task in task_declarations() %}
    {%- for slice_column in task.get('slices', []) %}
        {%- do rows.append([task.name, slice_column]) %}
    {%- endfor %}
{%- endfor %}

{{ literal_rows([
    ['task', 'varchar'],
    ['slice_column', 'varchar'],
], rows) }}
