{#  The windows to judge for drift, and their statistics against the stored reference.
    Shared by mon_feature_drift and mon_score_drift; each keeps its own verdict. -#}

{# CTEs up to `drift_statistics`: one row per window (task, model_version, as_of_date) and column.
   subject: 'features' or 'score'. Only windows whose current scoring run is not judged yet.
   Columns besides the distances: role, scoring_epoch, column_name, column_kind,
   reference_row_count and window_row_count (0 when absent), null shares with their z and p,
   new_category_share, and the counts of distinct values. -#}
{% macro drift_statistics(subject) %}
{%- set is_subject = "column_name = 'score'" if subject == 'score' else "column_name <> 'score'" %}
thresholds as (
    {{- drift_thresholds() }}
),

scored_windows as (
    {{- scored_windows_to_judge() }}
),

reference_bins as (
    select bins.*
    from {{ source('recorded', 'reference_bins') }} as bins
    inner join (select distinct task, model_version from scored_windows) as scored_versions
        using (task, model_version)
    where {{ is_subject }}
),

reference_columns as (
    select
        reference_bins.task,
        reference_bins.model_version,
        reference_bins.column_name,
        max(reference_bins.column_kind) as column_kind,
        -- rare categories kept under one bin without names cannot be told from new ones
        coalesce(sum(case
            when reference_bins.bin_kind = 'other' and reference_bins.category is null
                then reference_bins.row_count
        end), 0) > 0 as has_unnamed_other,
        row_number() over (
            order by reference_bins.task, reference_bins.model_version, reference_bins.column_name
        ) as reference_id
    from reference_bins
    group by reference_bins.task, reference_bins.model_version, reference_bins.column_name
),

-- one number for each window and column, because sorting by names is what would cost
series as (
    select
        scored_windows.task,
        scored_windows.model_version,
        scored_windows.as_of_date,
        reference_columns.column_name,
        reference_columns.column_kind,
        reference_columns.has_unnamed_other,
        reference_columns.reference_id,
        row_number() over (
            order by reference_columns.reference_id, scored_windows.as_of_date
        ) as series_id
    from scored_windows
    inner join reference_columns using (task, model_version)
),

window_values as (
    {%- for task in var('tasks') %}
    select counted.*
    from {{ ref('values_' ~ task) }} as counted
    inner join scored_windows
        using (task, model_version, as_of_date, scoring_epoch)
    where {{ is_subject }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}
),

series_values as (
    select
        series.series_id,
        series.reference_id,
        series.column_kind,
        series.has_unnamed_other,
        window_values.value_number,
        window_values.value_category,
        window_values.row_count
    from window_values
    inner join series using (task, model_version, as_of_date, column_name)
),

profile_bins as (
    select
        reference_columns.reference_id,
        reference_bins.bin_kind,
        reference_bins.lower_bound,
        reference_bins.upper_bound,
        reference_bins.category,
        reference_bins.row_count,
        -- the cells that are compared: rare categories are one
        case
            when reference_bins.bin_kind in ('interval', 'category')
                then reference_bins.bin_kind || ' ' || cast(reference_bins.bin as varchar)
            else reference_bins.bin_kind
        end as cell
    from reference_bins
    inner join reference_columns using (task, model_version, column_name)
),

number_cells as (
    select
        series_values.series_id,
        coalesce(profile_bins.cell, 'outside') as cell,
        series_values.row_count
    from series_values
    left join profile_bins
        on
            series_values.reference_id = profile_bins.reference_id
            and profile_bins.bin_kind = 'interval'
            and (
                profile_bins.lower_bound is null
                or series_values.value_number > profile_bins.lower_bound
            )
            and (
                profile_bins.upper_bound is null
                or series_values.value_number <= profile_bins.upper_bound
            )
    where
        series_values.column_kind = 'numeric'
        and {{ is_number('series_values.value_number') }}
),

category_cells as (
    select
        series_values.series_id,
        case
            when profile_bins.cell is not null then profile_bins.cell
            when series_values.has_unnamed_other then 'other'
            else 'new'
        end as cell,
        series_values.row_count
    from series_values
    left join profile_bins
        on
            series_values.reference_id = profile_bins.reference_id
            and profile_bins.bin_kind in ('category', 'other')
            and series_values.value_category = profile_bins.category
    where
        series_values.column_kind = 'categorical'
        and series_values.value_category is not null
),

empty_cells as (
    select
        series_values.series_id,
        case
            when series_values.column_kind = 'numeric' and series_values.value_number is not null
                then 'non_finite'
            else 'missing'
        end as cell,
        series_values.row_count
    from series_values
    where
        case
            when series_values.column_kind = 'numeric'
                then not {{ is_number('series_values.value_number') }}
            else series_values.value_category is null
        end
),

cells as (
    select
        both_sides.series_id,
        both_sides.cell,
        sum(both_sides.reference_count) as reference_count,
        sum(both_sides.window_count) as window_count
    from (
        {%- for kind in ['number', 'category', 'empty'] %}
        select
            series_id,
            cell,
            0 as reference_count,
            row_count as window_count
        from {{ kind }}_cells
        union all
        {%- endfor %}
        select
            series.series_id,
            profile_bins.cell,
            profile_bins.row_count as reference_count,
            0 as window_count
        from series
        inner join profile_bins using (reference_id)
    ) as both_sides
    group by both_sides.series_id, both_sides.cell
),

bin_distances as (
    {{- bin_distances('cells', ['series_id']) }}
),

special_cells as (
    select
        series_id,
        sum(reference_count) as reference_rows,
        sum(window_count) as window_rows,
        sum(case when cell = 'missing' then reference_count else 0 end) as reference_null_count,
        sum(case when cell = 'missing' then window_count else 0 end) as window_null_count,
        sum(case when cell = 'new' then window_count else 0 end) as new_category_count,
        count(*) filter (where cell <> 'missing' and reference_count > 0) as reference_cell_count
    from cells
    group by series_id
),

distinct_values as (
    select
        series_id,
        count(*) filter (where value_number is not null or value_category is not null)
            as distinct_value_count
    from series_values
    group by series_id
),

numbers as (
    select
        series_id,
        value_number as sample_value,
        row_count
    from series_values
    where column_kind = 'numeric'
),

reference_numbers as (
    select
        reference_columns.reference_id,
        reference_values.column_value as sample_value,
        reference_values.row_count
    from {{ source('recorded', 'reference_values') }} as reference_values
    inner join reference_columns using (task, model_version, column_name)
),

sample_distances as (
    {{- sample_distances(
        'numbers', 'reference_numbers', 'series', ['series_id'], ['reference_id']
    ) }}
),

-- every column of the reference, or of the window when the version has no reference at all
judged_columns as (
    select
        task,
        model_version,
        as_of_date,
        column_name,
        column_kind,
        has_unnamed_other,
        series_id
    from series
    union all
    select distinct
        window_values.task,
        window_values.model_version,
        window_values.as_of_date,
        window_values.column_name,
        window_values.column_kind,
        true as has_unnamed_other,
        cast(null as bigint) as series_id
    from window_values
    where not exists (
        select 1
        from reference_columns
        where
            reference_columns.task = window_values.task
            and reference_columns.model_version = window_values.model_version
    )
),

drift_statistics as (
    select
        judged_columns.task,
        judged_columns.model_version,
        judged_columns.as_of_date,
        judged_columns.column_name,
        judged_columns.column_kind,
        scored_windows.role,
        scored_windows.scoring_epoch,
        scored_windows.row_count as scored_row_count,
        cast(coalesce(special_cells.reference_rows, 0) as bigint) as reference_row_count,
        cast(coalesce(special_cells.window_rows, 0) as bigint) as window_row_count,
        cast(bin_distances.bin_count as integer) as bin_count,
        bin_distances.psi,
        bin_distances.psi_null_quantile,
        bin_distances.jensen_shannon_distance,
        bin_distances.hellinger_distance,
        bin_distances.total_variation,
        bin_distances.largest_difference,
        bin_distances.chi_square_statistic,
        bin_distances.chi_square_p_value,
        sample_distances.ks_statistic,
        sample_distances.ks_p_value,
        sample_distances.wasserstein_distance,
        sample_distances.clipped_share,
        sample_distances.out_of_range_share,
        sample_distances.out_of_range_p_value,
        special_cells.reference_null_count
            / cast(nullif(special_cells.reference_rows, 0) as double) as reference_null_share,
        special_cells.window_null_count / cast(nullif(special_cells.window_rows, 0) as double)
            as window_null_share,
        {{ two_proportion_z(
            'special_cells.window_null_count', 'special_cells.window_rows',
            'special_cells.reference_null_count', 'special_cells.reference_rows'
        ) }} as null_share_z,
        case
            when judged_columns.column_kind = 'categorical' and not judged_columns.has_unnamed_other
                then
                    special_cells.new_category_count
                    / cast(nullif(special_cells.window_rows, 0) as double)
        end as new_category_share,
        coalesce(distinct_values.distinct_value_count, 0) = 0
        and coalesce(special_cells.window_rows, 0) > 0 as is_all_null,
        coalesce(distinct_values.distinct_value_count, 0) = 1 as is_constant,
        coalesce(special_cells.reference_cell_count, 0) as reference_cell_count
    from judged_columns
    inner join scored_windows using (task, model_version, as_of_date)
    left join special_cells using (series_id)
    left join distinct_values using (series_id)
    left join bin_distances using (series_id)
    left join sample_distances using (series_id)
)
{%- endmacro %}

{# The seed drift_thresholds as one row, a column for each name. -#}
{% macro drift_thresholds() %}
    select
        {%- for name in drift_threshold_names() %}
        max(case when name = '{{ name }}' then threshold_value end) as {{ name }}
        {{- ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('drift_thresholds') }}
{%- endmacro %}

{# The names that drift_thresholds must hold; the data test of the seed reads them here. -#}
{% macro drift_threshold_names() %}
    {{ return([
        'minimum_window_rows',
        'minimum_reference_rows',
        'psi_warn',
        'psi_act',
        'false_discovery_rate',
        'null_share_change',
        'new_category_share_warn',
        'new_category_share_act',
        'out_of_range_share_warn',
        'out_of_range_share_act',
        'domain_auc',
        'domain_min_importance_share',
        'least_row_count_ratio',
        'greatest_row_count_ratio',
        'alarming_windows_to_act',
        'minimum_coverage_share',
        'minimum_labelled_rows',
        'estimated_decay_share',
    ]) }}
{% endmacro %}

{# CTE `persistent_alarms`: the rows of `alarms` (of this run) with alarming_window_count, how many of
   the last five windows of the same column alarmed, this one included.
   group_by: what a series of windows is. A window older than 70 days does not count. -#}
{% macro persistent_alarms(group_by) %}
{%- set groups = group_by | join(', ') %}
alarm_history as (
    select
        {{ groups }},
        as_of_date,
        is_alarming,
        true as is_new
    from alarms
    {%- if is_incremental() %}
    union all
    select
        {{ groups }},
        as_of_date,
        is_alarming,
        false as is_new
    from {{ this }} as judged
    where
        as_of_date >= (select {{ add_days('min(alarms.as_of_date)', -70) }} from alarms)
        and not exists (
            select 1
            from alarms
            where
                alarms.as_of_date = judged.as_of_date
                {%- for column in group_by %}
                and alarms.{{ column }} = judged.{{ column }}
                {%- endfor %}
        )
    {%- endif %}
),

alarm_counts as (
    select
        {{ groups }},
        as_of_date,
        is_new,
        -- by age in windows, because the oldest may lie too many days back
        case when is_alarming then 1 else 0 end
        {%- for age in range(1, 5) %}
        + case
            when lag(is_alarming, {{ age }}) over series
                and lag(as_of_date, {{ age }}) over series >= {{ add_days('as_of_date', -70) }} then 1
            else 0
        end
        {%- endfor %} as alarming_window_count
    from alarm_history
    window series as (
        partition by {{ groups }}
        order by as_of_date
    )
),

persistent_alarms as (
    select
        alarms.*,
        alarm_counts.alarming_window_count
    from alarms
    inner join alarm_counts using ({{ groups }}, as_of_date)
    where alarm_counts.is_new
)
{%- endmacro %}
