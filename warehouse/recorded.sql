-- The facts that cannot be rebuilt. Python writes them, dbt reads them as the source `recorded`.
-- Every statement can be repeated. One table per kind of fact; `predictions_<task>` tables are
-- made by warehouse/predictions.py, because their key columns are those of the task.
-- `recorded_at` is wall clock in UTC, for operators only: no logic may read it.

create schema if not exists raw;
create schema if not exists quarantine;
create schema if not exists recorded;

-- One row per landed batch of one source table.
create table if not exists recorded.batches (
    source_name varchar not null,
    table_name varchar not null,
    as_of_date date not null,               -- the batch holds facts that happened before this date
    landed_row_count bigint not null check (landed_row_count >= 0),
    quarantined_row_count bigint not null check (quarantined_row_count >= 0),
    first_event_at timestamp,               -- null: no row, or a table without event time
    last_event_at timestamp,
    content_hash varchar not null,          -- order-free hash of the whole batch, also of the quarantined rows
    recorded_at timestamp not null,
    primary key (source_name, table_name, as_of_date)
);

-- One row per as_of_date that a task asks to be built. known_at > as_of_date: back-history.
create table if not exists recorded.periods (
    task varchar not null,
    as_of_date date not null,
    known_at date not null,                 -- facts landed in batches up to this date may be used
    recorded_at timestamp not null,
    primary key (task, as_of_date, known_at),
    check (known_at >= as_of_date)
);

-- One row per (feature table, version, known_at) that a dbt build appended.
create table if not exists recorded.feature_builds (
    feature_table varchar not null,
    feature_version integer not null,
    known_at date not null,
    first_as_of_date date not null,
    last_as_of_date date not null,
    row_count bigint not null,
    content_hash varchar not null,          -- order-free hash of the appended rows
    code_commit varchar not null,
    compiled_sql_sha256 varchar not null,
    recorded_at timestamp not null,
    primary key (feature_table, feature_version, known_at)
);

-- One row per judgement of Great Expectations at a border.
create table if not exists recorded.validations (
    validation_id varchar not null primary key,
    border varchar not null check (border in ('landing', 'training_set', 'scoring_set', 'predictions')),
    subject varchar not null,               -- source table or task
    as_of_date date not null,
    checked_row_count bigint not null,
    expectation_count integer not null,
    failed_expectations varchar[] not null, -- empty: all held
    is_passed boolean not null,
    recorded_at timestamp not null
);

-- The rows of a failed judgement that show the fault, at most 10,000 of each; no fact, and replaced when
-- the same set is judged again. Batches leave their broken rows in quarantine.<source table> instead.
create table if not exists quarantine.judged_rows (
    border varchar not null,
    task varchar not null,
    as_of_date date not null,
    unit_id varchar,                        -- the entity key, joined by |
    broken_rules varchar[] not null,
    row_values varchar not null,            -- JSON
    recorded_at timestamp not null
);

-- One row per registered model version. model_version is MLflow's version number.
create table if not exists recorded.model_versions (
    task varchar not null,
    model_version integer not null,
    cut_off_date date not null,             -- labels and features known up to this date were used
    feature_table varchar not null,
    feature_version integer not null,
    pipeline varchar not null,              -- name of the winning candidate
    hyperparameters varchar not null,       -- JSON
    fit_first_date date not null,           -- as_of_dates of the rows the artifact was fitted on (train and tune)
    fit_last_date date not null,
    fit_row_count bigint not null,
    holdout_first_date date not null,       -- as_of_dates held out: also the reference of drift
    holdout_last_date date not null,
    holdout_row_count bigint not null,
    classes varchar[],                      -- null for regression
    training_row_count bigint not null,     -- every row read, the embargo's too
    training_content_hash varchar not null,
    code_commit varchar not null,
    lock_sha256 varchar not null,
    seed bigint not null,
    thread_count integer not null,
    artifact_sha256 varchar not null,
    arrays_sha256 varchar not null,         -- of the learned arrays
    artifact_path varchar not null,         -- relative to the state folder
    nanny_sha256 varchar,                   -- of what predicts a regression's absolute error; null: there is none
    nanny_artifact_path varchar,            -- relative to the state folder; null: there is none
    mlflow_run_id varchar not null,
    trigger_reason varchar not null,        -- first_version, or the reason code of decide_retrain, or manual
    recorded_at timestamp not null,
    primary key (task, model_version)
);

-- Metrics of a version at registration, beside those of a baseline that ignores the features. estimate: what
-- CBPE or DLE says of the holdout without its labels, out of fold; estimate_error: by how much it is off for
-- one as_of_date, root mean square.
create table if not exists recorded.model_metrics (
    task varchar not null,
    model_version integer not null,
    scorer varchar not null check (scorer in ('model', 'baseline', 'estimate', 'estimate_error')),
    split varchar not null check (split in ('fit', 'tune', 'holdout')),
    metric varchar not null,
    metric_value double not null,
    primary key (task, model_version, scorer, split, metric)
);

-- The reference profile: bins of every feature and of the score over the holdout rows.
-- Numeric bins hold lower_bound < value <= upper_bound; null bounds are open ends.
-- bin_kind: interval | category | other | new | missing | non_finite
create table if not exists recorded.reference_bins (
    task varchar not null,
    model_version integer not null,
    column_name varchar not null,           -- a feature, or score
    column_kind varchar not null check (column_kind in ('numeric', 'categorical')),
    bin integer not null,                   -- numbered from 0 within the column
    bin_kind varchar not null check (bin_kind in ('interval', 'category', 'other', 'new', 'missing', 'non_finite')),
    lower_bound double,
    upper_bound double,
    category varchar,
    row_count bigint not null,
    primary key (task, model_version, column_name, bin)
);

-- The reference sample of numeric columns: each distinct finite value with its count
-- (at most 20,000 rows of the holdout, chosen by md5 of the key).
create table if not exists recorded.reference_values (
    task varchar not null,
    model_version integer not null,
    column_name varchar not null,
    column_value double not null check (isfinite(column_value)),
    row_count bigint not null check (row_count > 0),
    primary key (task, model_version, column_name, column_value)
);

-- The importance of each feature on the holdout rows (permutation importance of the primary metric).
create table if not exists recorded.feature_importances (
    task varchar not null,
    model_version integer not null,
    feature varchar not null,
    importance double not null,             -- loss added when the feature is shuffled; at or below 0: no use
    primary key (task, model_version, feature)
);

-- What CBPE reads: an isotonic map from score to probability, learned on the holdout. Between two knots it
-- is linear, beyond the ends constant. Binary: one map, of the positive class; multiclass: one per class.
create table if not exists recorded.calibration_knots (
    task varchar not null,
    model_version integer not null,
    class_name varchar not null,            -- the class whose probability it is
    score double not null check (isfinite(score)),
    probability double not null check (probability between 0 and 1),
    primary key (task, model_version, class_name, score)
);

-- The domain classifier of a scored window: out-of-fold probabilities that a row is of the window and not
-- of the reference (the version's holdout), rounded to 3 decimals, with how many rows of each side have it.
create table if not exists recorded.domain_scores (
    task varchar not null,
    model_version integer not null,
    as_of_date date not null,
    score double not null check (score between 0 and 1),
    reference_row_count bigint not null check (reference_row_count >= 0),
    window_row_count bigint not null check (window_row_count >= 0),
    primary key (task, model_version, as_of_date, score)
);

-- An engine may score a version only with a row here that says it equals scikit-learn.
create table if not exists recorded.parity_certificates (
    task varchar not null,
    model_version integer not null,
    engine varchar not null check (engine in ('python', 'compiled', 'sql')),
    compared_row_count bigint not null,
    mismatch_count bigint not null,
    max_absolute_difference double not null,
    max_ulps bigint not null,
    is_equal boolean not null,
    recorded_at timestamp not null,
    primary key (task, model_version, engine)
);

-- The fencing row of each partition (task, model_version, as_of_date): updated first in every write.
create table if not exists recorded.leases (
    task varchar not null,
    model_version integer not null,
    as_of_date date not null,
    epoch bigint not null,
    primary key (task, model_version, as_of_date)
);

-- The manifest: one row per written partition and epoch; the highest epoch is what the table holds.
create table if not exists recorded.scoring_runs (
    scoring_run_id varchar not null primary key,  -- <task>-v<model_version>-<as_of_date>-e<epoch>
    task varchar not null,
    model_version integer not null,
    role varchar not null check (role in ('champion', 'challenger', 'predecessor')),
    as_of_date date not null,
    epoch bigint not null,
    row_count bigint not null check (row_count > 0),
    input_fingerprint varchar not null,     -- order-free hash of the scoring set, with the artifact's sha256
    engine varchar not null,
    model_sha256 varchar not null,
    scoring_seconds double not null,
    rows_per_second double not null,
    peak_memory_bytes bigint not null,      -- resident peak while it was scored (not on Linux: of the process)
    recorded_at timestamp not null,
    unique (task, model_version, as_of_date, epoch)
);

-- Acts. The roles are derived from these rows; MLflow's aliases mirror them.
create table if not exists recorded.promotions (
    promotion_id varchar not null primary key,
    task varchar not null,
    act_number integer not null,            -- 1, 2, .. within the task, in the order of the acts
    as_of_date date not null,               -- the day it was decided
    effective_from_date date not null,      -- first as_of_date for which the version is champion
    act varchar not null check (act in ('promote', 'rollback', 'override')),
    model_version integer not null,         -- champion from now on
    previous_version integer,               -- champion until now; null for the first
    decision_id varchar,                    -- null only for an override by a person
    actor varchar not null,                 -- policy, or the person's name
    reason varchar not null,
    recorded_at timestamp not null,
    check (act = 'override' or decision_id is not null),
    unique (task, act_number)
);

-- Rollouts: two versions serve at once, each its arm of the covered units. Coverage and arm are hashes of
-- the unit with the rollout's salt, so the covered units only grow and an arm never changes.
create table if not exists recorded.rollouts (
    rollout_id varchar not null primary key,    -- <task>-r<number>
    task varchar not null,
    purpose varchar not null check (purpose in ('rehearsal', 'promotion')),  -- rehearsal: the same version in both arms
    control_version integer not null,
    treatment_version integer not null,
    salt varchar not null,
    planned_standard_errors map(varchar, double) not null,  -- per compared metric, fixed before the first look
    as_of_date date not null,               -- the day it was decided
    decision_id varchar,                    -- of decide_champion; null: a person's
    actor varchar not null,
    reason varchar not null,
    recorded_at timestamp not null,
    check ((purpose = 'rehearsal') = (control_version = treatment_version))
);

-- Acts on a rollout, in order. The first one starts it; complete and abort end it.
create table if not exists recorded.rollout_acts (
    rollout_id varchar not null,
    act_number integer not null,            -- 1, 2, ..
    act varchar not null check (act in ('start', 'advance', 'complete', 'abort')),
    as_of_date date not null,               -- the day it was decided
    effective_from_date date not null,      -- first as_of_date scored under it
    coverage_share double not null check (coverage_share between 0 and 1),  -- after the act; 0 once ended
    actor varchar not null,
    reason varchar not null,
    recorded_at timestamp not null,
    primary key (rollout_id, act_number)
);

-- Which arm each covered unit was given, and since when.
create table if not exists recorded.assignments (
    rollout_id varchar not null,
    unit_id varchar not null,               -- the unit's columns, joined by |
    arm varchar not null check (arm in ('control', 'treatment')),
    first_as_of_date date not null,         -- first period in which the unit was covered
    primary key (rollout_id, unit_id)
);

-- With which code the decisions of a task's day were derived; the first judgement of a day counts.
create table if not exists recorded.judgements (
    task varchar not null,
    as_of_date date not null,
    code_commit varchar not null,
    decision_sql_sha256 varchar not null,   -- of the compiled SQL of every SQL model in decisions
    recorded_at timestamp not null,
    primary key (task, as_of_date)
);

-- One row per completed run of a task's day.
create table if not exists recorded.day_runs (
    task varchar not null,
    as_of_date date not null,
    flow_run_id varchar not null,
    code_commit varchar not null,
    run_seconds double not null,
    recorded_at timestamp not null,
    primary key (task, as_of_date, flow_run_id)
);

-- The states of the dbt project that this warehouse was built with; the highest number is the present one.
create table if not exists recorded.project_builds (
    build_number integer not null primary key,  -- 1, 2, .. in the order of the builds
    project_sha256 varchar not null,
    decision_sql_sha256 varchar not null,   -- of the compiled SQL of every SQL model in decisions
    recorded_at timestamp not null
);
