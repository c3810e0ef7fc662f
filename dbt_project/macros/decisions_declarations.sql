{#  The declarations of the tasks (config.meta.task of the training sets) as literal rows.
    They are read from dbt's graph when a SQL model runs, so no ref is needed and a new task
    appears here by its YAML alone. -#}

{# The declarations of var('tasks'), in that order: a list of dictionaries. Empty while parsing. -#}
{% macro task_declarations() %}
    {% set found = {} %}
    {% if execute %}
        {% for node in graph.nodes.values() if node.resource_type == 'model' %}
            {% set declaration = node.config.get('meta', {}).get('task') %}
            {% if declaration %}
                {% do found.update({declaration.name: declaration}) %}
            {% endif %}
        {% endfor %}
        {% for task in var('tasks') if task not in found %}
            {% do exceptions.raise_compiler_error(
                "var tasks in dbt_project.yml names " ~ task ~ ", which no SQL model declares; "
                ~ "declared are: " ~ (found.keys() | sort | join(', '))
                ~ ". Add config.meta.task to train_" ~ task ~ " or take the name out of the list."
            ) %}
        {% endfor %}
    {% endif %}
    {% set declarations = [] %}
    {% for task in var('tasks') if task in found %}
        {% do declarations.append(found[task]) %}
    {% endfor %}
    {{ return(declarations) }}
{% endmacro %}

{# The per-row losses and roc_auc that a kind of task is judged by.
   kind: binary, regression or multiclass. -#}
{% macro metrics_of_kind(kind) %}
    {{ return({
        'binary': ['log_loss', 'brier_score', 'roc_auc'],
        'regression': ['absolute_error', 'squared_error'],
        'multiclass': ['log_loss', 'brier_score', 'error_rate'],
    }[kind]) }}
{% endmacro %}

{# A table of literals, also when there is no row. What a declaration lacks is null, for the tests to find.
   columns: list of [name, SQL type]; rows: list of lists of values, in the columns' order. -#}
{% macro literal_rows(columns, rows) %}
    {%- for row in rows %}
    select
        {%- for name, data_type in columns %}
        {%- set value = row[loop.index0] %}
        {%- set is_given = value is defined and value is not none %}
        cast({{ "'" ~ value | string | replace("'", "''") ~ "'" if is_given else 'null' }} as {{ data_type }}) as {{ name }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    {{ 'union all' if not loop.last }}
    {%- else %}
    select
        {%- for name, data_type in columns %}
        cast(null as {{ data_type }}) as {{ name }}{{ ',' if not loop.last }}
        {%- endfor %}
    where false
    {%- endfor %}
{%- endmacro %}
