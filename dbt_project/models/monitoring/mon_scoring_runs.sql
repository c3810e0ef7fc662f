select
    runs.scoring_run_id,
    runs.task,
    runs.model_version,
    runs.role,
    runs.as_of_date,
    runs.epoch,
    -- the highest epoch is what the predictions hold; the earlier ones are history
    runs.epoch = max(runs.epoch) over (partition by runs.task, runs.model_version, runs.as_of_date)
        as is_current,
    runs.engine,
    runs.row_count,
    runs.scoring_seconds,
    runs.rows_per_second,
    runs.peak_memory_bytes / 1e6 as peak_memory_megabytes,
    runs.model_sha256,
    runs.input_fingerprint,
    runs.recorded_at
from {{ source('recorded', 'scoring_runs') }} as runs
