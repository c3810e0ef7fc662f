{#  Training sets, scoring sets and readers' views. Their columns, order and types are those of the
    SQL model's own YAML, so a new task is one line of SQL and its YAML. The YAML lists the entity
    key first, then as_of_date; every feature is cast to its data_type. -#}

{# Rows of a feature table as they were first known, one per key and as_of_date.
   features: a relation with known_at. key: list of columns, without as_of_date. -#}
{% macro first_known(features, key) %}
    select *
    from (
        select
            features.*,
            min(features.known_at) over (
                partition by {% for column in key %}features.{{ column }}, {% endfor %}features.as_of_date
            ) as first_known_at
        from {{ features }} as features
    ) as histories
    where known_at = first_known_at
{%- endmacro %}

{# Columns of the SQL model being compiled up to as_of_date: the entity key. -#}
{% macro entity_key_columns() %}
    {%- set key = [] -%}
    {%- for name in model.columns if name == 'as_of_date' or 'as_of_date' not in key -%}
        {%- do key.append(name) -%}
    {%- endfor -%}
    {%- if key == [] or key[-1] != 'as_of_date' or key | length < 2 -%}
        {{ exceptions.raise_compiler_error(
            model.name ~ " lists the columns " ~ (model.columns | list)
            ~ "; its YAML must list the entity key first, then as_of_date"
        ) }}
    {%- endif -%}
    {{ return(key[:-1]) }}
{% endmacro %}

{# `cast(source.column as its data_type) as column` for every column of the YAML, in its order.
   sources: a mapping of column name to SQL expression where that is not features.<column>. -#}
{% macro declared_columns(sources) %}
    {%- for column in model.columns.values() %}
    cast({{ sources.get(column.name, 'first_known_features.' ~ column.name) }} as {{ column.data_type }})
        as {{ column.name }}{{ ',' if not loop.last }}
    {%- endfor %}
{%- endmacro %}

{# What training reads: features as first known, with labels that have matured.
   features: ref of one version of the feature table. label: ref of the label table.
   label_column: the outcome. -#}
{% macro training_set(features, label, label_column) %}
{%- if execute %}
{%- set key = entity_key_columns() -%}
with

first_known_features as (
    {{- first_known(features, key) }}
)

select
    {{- declared_columns({
        'features_known_at': 'first_known_features.known_at',
        'label_known_at': 'labels.known_at',
        label_column: 'labels.' ~ label_column,
    }) }}
from first_known_features
inner join {{ label }} as labels
    on
        {% for column in key %}first_known_features.{{ column }} = labels.{{ column }}
        and {% endfor %}first_known_features.as_of_date = labels.as_of_date
{%- endif %}
{%- endmacro %}

{# What scoring reads: features as first known. features: ref of one version of the feature table. -#}
{% macro scoring_set(features) %}
{%- if execute %}
with

first_known_features as (
    {{- first_known(features, entity_key_columns()) }}
)

select
    {{- declared_columns({'features_known_at': 'first_known_features.known_at'}) }}
from first_known_features
{%- endif %}
{%- endmacro %}

{# The reader's view of a feature table: its rows as first known, with known_at. -#}
{% macro current_features(features) %}
{%- if execute %}
with

first_known_features as (
    {{- first_known(features, entity_key_columns()) }}
)

select
    {{- declared_columns({}) }}
from first_known_features
{%- endif %}
{%- endmacro %}
