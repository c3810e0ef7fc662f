{#  Predictions, outcomes and counted values of one task, out of its declaration.
    A SQL model that calls them is one line; it names its refs, because dbt draws lineage from them. -#}

{# The declaration of one of var('tasks'): a dictionary; an empty one while parsing. -#}
{% macro task_declaration(task) %}
    {% set found = task_declarations() | selectattr('name', 'equalto', task) | list %}
    {% if execute and not found %}
        {% do exceptions.raise_compiler_error(
            "task " ~ task ~ " is not in var tasks of dbt_project.yml, which lists: "
            ~ (var('tasks') | join(', ')) ~ ". Add it there."
        ) %}
    {% endif %}
    {{ return(found[0] if found else {}) }}
{% endmacro %}

{# The champion's predictions of a task.
   Every scored partition has one role, and a day has one champion; the test of the key watches it. -#}
{% macro champion_predictions(task) %}
select
    {{ prediction_columns(task) }}
from {{ source('recorded', 'predictions_' ~ task) }} as predictions
where predictions.role = 'champion'
{%- endmacro %}

{# Every version's predictions of a task, with the role the version held when it scored. -#}
{% macro all_predictions(task) %}
select
    {{ prediction_columns(task) }},
    predictions.role
from {{ source('recorded', 'predictions_' ~ task) }} as predictions
{%- endmacro %}

{% macro prediction_columns(task) -%}
    {%- set declaration = task_declaration(task) -%}
    {%- for column in declaration.get('entity_key', []) %}
    predictions.{{ column }},
    {%- endfor %}
    predictions.as_of_date,
    predictions.score,
    {%- if declaration.get('kind') == 'multiclass' %}
    predictions.predicted_class,
    predictions.class_scores,
    {%- elif declaration.get('kind') == 'regression' %}
    predictions.expected_absolute_error,
    {%- endif %}
    predictions.model_version,
    predictions.scoring_run_id
{%- endmacro %}

{# Columns joined by `|` into one varchar: the generic name of a unit or a cluster.
   What the predictions hold is read there, so that it is known even without a scoring row. -#}
{% macro joined_key(columns, prediction_columns) -%}
    concat_ws('|'
    {%- for column in columns -%}
    , coalesce(cast({{ 'predictions' if column in prediction_columns else 'units' }}.{{ column }} as varchar), '')
    {%- endfor %})
{%- endmacro %}

{# Predictions with their labels and the losses of each row, under the same columns for every task.
   predictions: all versions' predictions; labels: the label table; scoring_set: where the columns of
   slices and cluster_by stand (version 1: they describe the unit, whichever version scored it). -#}
{% macro outcomes(task, predictions, labels, scoring_set) %}
{%- set declaration = task_declaration(task) %}
{%- set kind = declaration.get('kind') %}
{%- set key = declaration.get('entity_key', []) + ['as_of_date'] %}
{%- set label = 'labels.' ~ declaration.get('label', {}).get('column', '') %}
{%- set slices = declaration.get('slices') or [] %}
with

predictions as (
    select * from {{ predictions }}
),

labels as (
    select * from {{ labels }}
),

units as (
    select * from {{ scoring_set }}
),

labelled as (
    select
        {{ joined_key(declaration.get('entity_key', []), key) }} as unit_id,
        {{ joined_key(declaration.get('cluster_by') or declaration.get('entity_key', []), key) }}
            as cluster_id,
        predictions.as_of_date,
        {{ add_days('predictions.as_of_date', declaration.get('label', {}).get('horizon_days', 0)) }}
            as matured_on_date,
        predictions.model_version,
        predictions.role,
        predictions.score,
        {%- if kind == 'multiclass' %}
        cast(null as double) as label_value,
        cast({{ label }} as varchar) as label_class,
        predictions.predicted_class,
        -- a class that the version never saw has probability 0
        coalesce({{ map_value('predictions.class_scores', 'cast(' ~ label ~ ' as varchar)') }}, 0e0)
            as label_score,
        {{ sum_of_squares(map_values_of('predictions.class_scores')) }} as score_squares,
        {%- else %}
        cast({{ label }} as double) as label_value,
        cast(null as varchar) as label_class,
        {%- endif %}
        labels.known_at as label_known_at,
        {{ varchar_list(slices, 'units') }} as slices
    from predictions
    left join labels
        on {% for column in key %}predictions.{{ column }} = labels.{{ column }}
        {{- ' and ' if not loop.last }}{% endfor %}
    left join units
        on {% for column in key %}predictions.{{ column }} = units.{{ column }}
        {{- ' and ' if not loop.last }}{% endfor %}
)

select
    '{{ task }}' as task,
    unit_id,
    cluster_id,
    as_of_date,
    matured_on_date,
    model_version,
    role,
    '{{ kind }}' as kind,
    score,
    label_value,
    label_class,
    label_known_at,
    {%- if kind == 'binary' %}
    {{ clipped_log_loss('case when label_value = 1 then score when label_value = 0 then 1e0 - score end') }}
        as log_loss,
    (score - label_value) * (score - label_value) as brier_score,
    cast(null as double) as absolute_error,
    cast(null as double) as squared_error,
    cast(null as double) as error_rate,
    {%- elif kind == 'regression' %}
    cast(null as double) as log_loss,
    cast(null as double) as brier_score,
    abs(score - label_value) as absolute_error,
    (score - label_value) * (score - label_value) as squared_error,
    cast(null as double) as error_rate,
    {%- else %}
    case when label_class is not null then {{ clipped_log_loss('label_score') }} end as log_loss,
    case when label_class is not null
        then greatest(0e0, score_squares - 2e0 * label_score + 1e0)
    end as brier_score,
    cast(null as double) as absolute_error,
    cast(null as double) as squared_error,
    case
        when label_class is null then null
        when predicted_class = label_class then 0e0
        else 1e0
    end as error_rate,
    {%- endif %}
    slices
from labelled
{%- endmacro %}

{# What quality is estimated from before any label: the scores of a task's windows, one row per unit,
   for multiclass one per unit and class.
   predictions: all versions' predictions; windows: CTE with task, model_version, as_of_date.
   Columns: task, kind, model_version, as_of_date, unit_id (multiclass, else null), class_name (whose
   probability the score is: 1 for binary, null for regression), score, is_predicted (multiclass: the
   class that is predicted), expected_absolute_error (regression). -#}
{% macro scores_to_estimate(task, predictions, windows) %}
{%- set declaration = task_declaration(task) %}
{%- set kind = declaration.get('kind') %}
    select
        '{{ task }}' as task,
        '{{ kind }}' as kind,
        predictions.model_version,
        predictions.as_of_date,
        {%- if kind == 'multiclass' %}
        {{ joined_key(declaration.entity_key, declaration.entity_key) }} as unit_id,
        predictions.class_name,
        {{ map_value('predictions.class_scores', 'predictions.class_name') }} as score,
        predictions.class_name = predictions.predicted_class as is_predicted,
        {%- else %}
        cast(null as varchar) as unit_id,
        cast({{ "'1'" if kind == 'binary' else 'null' }} as varchar) as class_name,
        predictions.score,
        cast(null as boolean) as is_predicted,
        {%- endif %}
        {{ 'predictions.expected_absolute_error' if kind == 'regression' else 'cast(null as double)' }}
            as expected_absolute_error
    from (
        select
            predictions.*
            {%- if kind == 'multiclass' %},
            {{ elements(map_keys_of('predictions.class_scores')) }} as class_name
            {%- endif %}
        from {{ predictions }} as predictions
        inner join {{ windows }} as windows
            on
                predictions.model_version = windows.model_version
                and predictions.as_of_date = windows.as_of_date
                and windows.task = '{{ task }}'
    ) as predictions
{%- endmacro %}

{# How often each distinct value of each feature, and of the score, stood in each scored window.
   predictions: all versions' predictions; scoring_sets: {feature version: relation}. Only windows whose
   current scoring run is not counted yet. -#}
{% macro scored_values(task, predictions, scoring_sets) %}
with

scored_windows as (
    select
        runs.model_version,
        runs.as_of_date,
        runs.epoch as scoring_epoch,
        versions.feature_version
    from ({{ current_scoring_runs() }}) as runs
    inner join {{ source('recorded', 'model_versions') }} as versions
        using (task, model_version)
    where
        runs.task = '{{ task }}'
        {%- if is_incremental() %}
        and not exists (
            select 1
            from {{ this }} as counted
            where
                counted.model_version = runs.model_version
                and counted.as_of_date = runs.as_of_date
                and counted.scoring_epoch = runs.epoch
        )
        {%- endif %}
),
{% for feature_version, scoring_set in scoring_sets.items() %}
{%- set columns = feature_columns(task, scoring_set) %}
{%- if columns %}
features_v{{ feature_version }} as (
    select * from {{ scoring_set }}
    where as_of_date in (
        select scored_windows.as_of_date
        from scored_windows
        where scored_windows.feature_version = {{ feature_version }}
    )
),

counts_v{{ feature_version }} as (
    select
        as_of_date,
        column_name,
        column_kind,
        value_number,
        value_category,
        count(*) as row_count
    from ({{ unpivot(
        'features_v' ~ feature_version,
        ['as_of_date'],
        ['column_name', 'column_kind', 'value_number', 'value_category'],
        columns
    ) }}) as feature_values
    group by as_of_date, column_name, column_kind, value_number, value_category
),
{% endif %}
{%- endfor %}
counts as (
    select
        scored_windows.model_version,
        scored_windows.as_of_date,
        scored_windows.scoring_epoch,
        'score' as column_name,
        'numeric' as column_kind,
        predictions.score as value_number,
        cast(null as varchar) as value_category,
        count(*) as row_count
    from {{ predictions }} as predictions
    inner join scored_windows using (model_version, as_of_date)
    group by
        scored_windows.model_version,
        scored_windows.as_of_date,
        scored_windows.scoring_epoch,
        predictions.score
    {%- for feature_version, scoring_set in scoring_sets.items() %}
    {%- if feature_columns(task, scoring_set) %}
    union all
    select
        scored_windows.model_version,
        scored_windows.as_of_date,
        scored_windows.scoring_epoch,
        counts.column_name,
        counts.column_kind,
        counts.value_number,
        counts.value_category,
        counts.row_count
    from counts_v{{ feature_version }} as counts
    inner join scored_windows using (as_of_date)
    where scored_windows.feature_version = {{ feature_version }}
    {%- endif %}
    {%- endfor %}
)

select
    '{{ task }}' as task,
    model_version,
    as_of_date,
    scoring_epoch,
    column_name,
    column_kind,
    value_number,
    value_category,
    row_count
from counts
{%- endmacro %}

{# The scoring run whose rows the predictions hold: the highest epoch of each partition. -#}
{% macro current_scoring_runs() %}
    select
        task,
        model_version,
        role,
        as_of_date,
        epoch,
        row_count
    from (
        select
            *,
            max(epoch) over (partition by task, model_version, as_of_date) as last_epoch
        from {{ source('recorded', 'scoring_runs') }}
    ) as runs
    where epoch = last_epoch
{%- endmacro %}

{# The scored windows that {{ this }}, with its own scoring_epoch, does not hold yet; a re-scored window counts as
   new. Columns: task, model_version, role, as_of_date, scoring_epoch, row_count. -#}
{% macro scored_windows_to_judge() %}
    select
        runs.task,
        runs.model_version,
        runs.role,
        runs.as_of_date,
        runs.epoch as scoring_epoch,
        runs.row_count
    from ({{ current_scoring_runs() }}) as runs
    {%- if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as judged
        where
            judged.task = runs.task
            and judged.model_version = runs.model_version
            and judged.as_of_date = runs.as_of_date
            and judged.scoring_epoch = runs.epoch
    )
    {%- endif %}
{%- endmacro %}

{# The features of a scoring set as rows for unpivot: name, kind, value as number, value as category.
   They are read from its documented columns. A boolean has both forms; columns of other types
   (dates, lists) are no features. -#}
{% macro feature_columns(task, scoring_set) %}
    {% set features = [] %}
    {% if execute %}
        {% set others = task_declaration(task).entity_key + ['as_of_date', 'features_known_at'] %}
        {% for node in graph.nodes.values() if node.relation_name == scoring_set | string %}
            {% for column in node.columns.values() if column.name not in others %}
                {% set type = (column.data_type or '') | lower %}
                {% set name = "'" ~ column.name ~ "'" %}
                {% if type in ('varchar', 'string', 'text') %}
                    {% do features.append(
                        [name, "'categorical'", 'cast(null as double)', column.name]
                    ) %}
                {% elif type in ('boolean', 'bool') %}
                    {% do features.append([
                        name, "'categorical'",
                        'cast(cast(' ~ column.name ~ ' as integer) as double)',
                        'cast(' ~ column.name ~ ' as varchar)'
                    ]) %}
                {% elif type.split('(')[0] in (
                    'tinyint', 'smallint', 'integer', 'int', 'bigint', 'hugeint', 'float', 'real',
                    'double', 'decimal', 'numeric'
                ) %}
                    {% do features.append([
                        name, "'numeric'",
                        'cast(' ~ column.name ~ ' as double)', 'cast(null as varchar)'
                    ]) %}
                {% endif %}
            {% endfor %}
        {% endfor %}
    {% endif %}
    {{ return(features) }}
{% endmacro %}

{# One scan that turns several expressions of a row into rows.
   keep: columns kept; names: names of the new columns; entries: one list of expressions per new row. -#}
{% macro unpivot(relation, keep, names, entries) -%}
    {{ return(adapter.dispatch('unpivot')(relation, keep, names, entries)) }}
{%- endmacro %}

{% macro default__unpivot(relation, keep, names, entries) %}
    select
        {{ keep | join(', ') }}
        {%- for name in names %}, entry.{{ name }} as {{ name }}{% endfor %}
    from (
        select
            {{ keep | join(', ') }},
            unnest([
                {%- for expressions in entries %}
                struct_pack(
                    {%- for name in names %}{{ name }} := {{ expressions[loop.index0] }}
                    {{- ', ' if not loop.last }}{% endfor -%}
                ){{ ',' if not loop.last }}
                {%- endfor %}
            ]) as entry
        from {{ relation }}
    ) as entries
{%- endmacro %}

{# A list of `column=value` for the slices of a row; a missing value is `column=missing`. -#}
{% macro varchar_list(columns, relation) -%}
    {{ return(adapter.dispatch('varchar_list')(columns, relation)) }}
{%- endmacro %}

{% macro default__varchar_list(columns, relation) -%}
    cast([
        {%- for column in columns -%}
        '{{ column }}=' || coalesce(cast({{ relation }}.{{ column }} as varchar), 'missing')
        {{- ', ' if not loop.last }}
        {%- endfor -%}
    ] as varchar[])
{%- endmacro %}

{# The value of a map for a key; NULL when the map lacks it. -#}
{% macro map_value(map, key) -%}
    {{ return(adapter.dispatch('map_value')(map, key)) }}
{%- endmacro %}

{% macro default__map_value(map, key) -%}
    map_extract_value({{ map }}, {{ key }})
{%- endmacro %}

{# The values of a map as a list. -#}
{% macro map_values_of(map) -%}
    map_values({{ map }})
{%- endmacro %}

{# The keys of a map as a list. -#}
{% macro map_keys_of(map) -%}
    map_keys({{ map }})
{%- endmacro %}

{# The sum of the squares of a list of doubles, in the list's order. -#}
{% macro sum_of_squares(list) -%}
    {{ return(adapter.dispatch('sum_of_squares')(list)) }}
{%- endmacro %}

{% macro default__sum_of_squares(list) -%}
    list_sum(list_transform({{ list }}, lambda element: element * element))
{%- endmacro %}

{# One row per element of a list. -#}
{% macro elements(list) -%}
    {{ return(adapter.dispatch('elements')(list)) }}
{%- endmacro %}

{% macro default__elements(list) -%}
    unnest({{ list }})
{%- endmacro %}

{# A row's slices with the slice of all rows before them. -#}
{% macro with_slice_of_all(slices) -%}
    {{ return(adapter.dispatch('with_slice_of_all')(slices)) }}
{%- endmacro %}

{% macro default__with_slice_of_all(slices) -%}
    list_prepend('all', {{ slices }})
{%- endmacro %}
