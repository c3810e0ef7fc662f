{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

{%- set keys = ['task', 'judged_as_of_date', 'challenger_version', 'metric', 'slice'] %}

with

looks as (
    {{ looks_to_judge() }}
),

judged_rows as (
    {{ judged_rows('looks') }}
),

labelled_rows as (
    select *
    from judged_rows
    where is_labelled
),

-- The whole in every metric, each slice in the primary one.
metric_slices as (
    select
        labelled_rows.*,
        declared_metrics.metric,
        'all' as slice
    from labelled_rows
    inner join {{ ref('declared_metrics') }} as declared_metrics using (task)
    where declared_metrics.metric <> 'roc_auc'

    union all

    select
        labelled_rows.*,
        declared_tasks.primary_metric as metric,
        unnest(labelled_rows.slices) as slice
    from labelled_rows
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
),

roc_auc_rows as (
    select
        labelled_rows.*,
        declared_metrics.metric,
        'all' as slice
    from labelled_rows
    inner join {{ ref('declared_metrics') }} as declared_metrics using (task)
    where declared_metrics.metric = 'roc_auc'
),

parts as (
    select
        {%- for key in keys %}
        metric_slices.{{ key }},
        {%- endfor %}
        metric_slices.cluster_id,
        metric_slices.block_date,
        metric_slices.label_value,
        {%- for side in ['champion', 'challenger'] %}
        case metric_slices.metric
            {%- for metric in loss_metrics() %}
            when '{{ metric }}' then metric_slices.{{ side }}_{{ metric }}
            {%- endfor %}
        end as {{ side }}_part,
        {%- endfor %}
        1E0 as weight
    from metric_slices

    union all

    {{ roc_auc_parts('roc_auc_rows', keys) }}
),

differences as (
    {{ clustered_difference('parts', keys, "case when metric = 'roc_auc' then 2E0 else 1E0 end") }}
),

class_counts as (
    select
        {{ keys | join(', ') }},
        count(*) filter (where label_value = 1) as positive_count,
        count(*) filter (where label_value = 0) as negative_count
    from parts
    group by {{ keys | join(', ') }}
),

-- A declared metric without a value still has its row, so that its check can fail.
wanted as (
    select
        looks.task,
        looks.as_of_date as judged_as_of_date,
        looks.challenger_version,
        declared_metrics.metric,
        'all' as slice
    from looks
    inner join {{ ref('declared_metrics') }} as declared_metrics using (task)
    where looks.comparison <> 'first_version'

    union

    select {{ keys | join(', ') }}
    from differences
)

select
    wanted.task,
    wanted.judged_as_of_date as as_of_date,
    wanted.challenger_version,
    wanted.metric,
    wanted.slice,
    {{ round_significant('differences.champion_value') }} as champion_value,
    {{ round_significant('differences.challenger_value') }} as challenger_value,
    -- Above 0: the challenger is better. Losses shrink when they get better, the AUC grows.
    {{ round_significant("case when wanted.metric = 'roc_auc' then -differences.difference else differences.difference end") }}
        as delta,
    coalesce(differences.row_count, 0) as row_count,
    coalesce(differences.valid_row_count, 0) as valid_row_count,
    class_counts.positive_count,
    class_counts.negative_count,
    coalesce(differences.cluster_count, 0) as cluster_count,
    {{ round_significant('differences.cluster_standard_error') }} as cluster_standard_error,
    coalesce(differences.date_count, 0) as date_count,
    {{ round_significant('differences.date_standard_error') }} as date_standard_error,
    coalesce(differences.cell_count, 0) as cell_count,
    {{ round_significant('differences.cell_standard_error') }} as cell_standard_error
from wanted
left join differences using ({{ keys | join(', ') }})
left join class_counts using ({{ keys | join(', ') }})
