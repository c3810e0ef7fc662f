{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

with

looks as (
    {{ looks_to_judge() }}
),

judged_rows as (
    {{ judged_rows('looks') }}
),

-- What calibration compares: the label with the score; for classes, being right with the score of
-- the predicted class.
calibrated as (
    select
        judged_rows.*,
        case
            when judged_rows.kind = 'multiclass' then 1E0 - judged_rows.champion_error_rate
            else judged_rows.label_value
        end as champion_truth,
        case
            when judged_rows.kind = 'multiclass' then 1E0 - judged_rows.challenger_error_rate
            else judged_rows.label_value
        end as challenger_truth
    from judged_rows
),

samples as (
    select
        calibrated.task,
        calibrated.judged_as_of_date,
        calibrated.challenger_version,
        count(*) as row_count,
        count(*) filter (where calibrated.is_labelled) as labelled_count,
        count(distinct calibrated.cluster_id) filter (where calibrated.is_labelled) as cluster_count,
        {%- for side in ['champion', 'challenger'] %}
        cast(sum({{ exact('calibrated.' ~ side ~ '_score - calibrated.' ~ side ~ '_truth') }})
            filter (where calibrated.is_labelled) as double) as {{ side }}_bias_sum,
        {%- endfor %}
        cast(sum({{ exact('calibrated.challenger_truth') }}) filter (where calibrated.is_labelled) as double) as truth_sum,
        cast(sum({{ exact('calibrated.challenger_truth * calibrated.challenger_truth') }})
            filter (where calibrated.is_labelled) as double) as truth_square_sum,
        {{ order_free_hash("concat_ws('|', calibrated.unit_id, cast(calibrated.as_of_date as varchar), "
            ~ canonical_number('calibrated.champion_score') ~ ", " ~ canonical_number('calibrated.challenger_score')
            ~ ", cast(calibrated.is_labelled as varchar), coalesce(" ~ canonical_number('calibrated.challenger_truth')
            ~ ", '-'))") }} as rows_fingerprint
    from calibrated
    group by calibrated.task, calibrated.judged_as_of_date, calibrated.challenger_version
),

-- What the manifests say was scored, window by window.
manifests as (
    select
        runs.task,
        runs.model_version,
        runs.as_of_date,
        runs.engine,
        runs.row_count,
        row_number() over (
            partition by runs.task, runs.model_version, runs.as_of_date
            order by runs.epoch desc
        ) as epoch_rank
    from {{ source('recorded', 'scoring_runs') }} as runs
),

scored as (
    select
        looks.task,
        looks.as_of_date as judged_as_of_date,
        looks.challenger_version,
        sum(challenger.row_count) as manifest_row_count,
        count(*) filter (where challenger.row_count <> champion.row_count) as unequal_window_count,
        count(*) filter (where certificates.is_equal) as certified_window_count,
        count(*) filter (where certificates.is_equal is null) as uncertified_window_count,
        count(*) as window_count
    from looks
    inner join manifests as challenger
        on
            looks.task = challenger.task
            and looks.challenger_version = challenger.model_version
            and challenger.as_of_date between looks.first_window_date and looks.last_window_date
    inner join manifests as champion
        on
            looks.task = champion.task
            and looks.champion_version = champion.model_version
            and challenger.as_of_date = champion.as_of_date
    left join {{ source('recorded', 'parity_certificates') }} as certificates
        on
            challenger.task = certificates.task
            and challenger.model_version = certificates.model_version
            and challenger.engine = certificates.engine
    where
        challenger.epoch_rank = 1
        and champion.epoch_rank = 1
    group by looks.task, looks.as_of_date, looks.challenger_version
)

select
    looks.task,
    looks.as_of_date,
    looks.challenger_version,
    coalesce(samples.row_count, 0) as row_count,
    coalesce(samples.labelled_count, 0) as labelled_count,
    coalesce(samples.cluster_count, 0) as cluster_count,
    {%- for side in ['champion', 'challenger'] %}
    {{ round_significant('samples.' ~ side ~ '_bias_sum / nullif(samples.labelled_count, 0)') }} as {{ side }}_bias,
    {%- endfor %}
    {{ round_significant('sqrt(greatest(0E0,
        samples.truth_square_sum / nullif(samples.labelled_count, 0)
        - pow(samples.truth_sum / nullif(samples.labelled_count, 0), 2)
    ))') }} as label_standard_deviation,
    cast(coalesce(scored.manifest_row_count, 0) as bigint) as manifest_row_count,
    coalesce(scored.unequal_window_count, 0) as unequal_window_count,
    coalesce(scored.certified_window_count, 0) as certified_window_count,
    coalesce(scored.uncertified_window_count, 0) as uncertified_window_count,
    coalesce(scored.window_count, 0) as scored_window_count,
    samples.rows_fingerprint
from looks
left join samples
    on
        looks.task = samples.task
        and looks.as_of_date = samples.judged_as_of_date
        and looks.challenger_version = samples.challenger_version
left join scored
    on
        looks.task = scored.task
        and looks.as_of_date = scored.judged_as_of_date
        and looks.challenger_version = scored.challenger_version
