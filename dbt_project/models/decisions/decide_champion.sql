{{ config(materialized='incremental', incremental_strategy='append', on_schema_change='fail') }}

-- The only recursion of the project: several periods appended at once are chained one after another.
with recursive

-- decide_looks asks each day once and in order, so these follow what is already chained.
questions as (
    select questions.*
    from {{ ref('judged_questions') }} as questions
    {%- if is_incremental() %}
    where not exists (
        select 1
        from {{ this }} as decided
        where
            decided.task = questions.task
            and decided.as_of_date >= questions.as_of_date
    )
    {%- endif %}
),

last_decisions as (
    {%- if is_incremental() %}
    select
        ordered.task,
        ordered.decision_id
    from (
        select
            decided.task,
            decided.decision_id,
            row_number() over (
                partition by decided.task
                order by decided.as_of_date desc, decided.challenger_version desc
            ) as age
        from {{ this }} as decided
    ) as ordered
    where ordered.age = 1
    {%- else %}
    select
        cast(null as varchar) as task,
        cast(null as varchar) as decision_id
    where false
    {%- endif %}
),

checks as (
    select checks.*
    from {{ ref('decide_checks') }} as checks
    inner join questions using (task, as_of_date, challenger_version)
),

hashed_checks as (
    {{ hash_of_checks('checks') }}
),

primary_checks as (
    select checks.*
    from checks
    inner join {{ ref('declared_tasks') }} as declared_tasks
        on
            checks.task = declared_tasks.task
            and checks.metric = declared_tasks.primary_metric
    where checks.check_name in ('primary', 'rollback_primary', 'baseline')
),

evidence as (
    select
        questions.task,
        questions.as_of_date,
        questions.comparison,
        questions.champion_version,
        questions.challenger_version,
        questions.verdict,
        questions.reason_codes,
        questions.comparison = 'first_version' as is_rubber_stamp,
        declared_tasks.primary_metric,
        primary_checks.champion_value,
        primary_checks.challenger_value,
        primary_checks.delta as primary_delta,
        primary_checks.standard_error as primary_standard_error,
        primary_checks.lower_bound as primary_lower_bound,
        primary_checks.upper_bound as primary_upper_bound,
        {{ round_significant('primary_checks.delta / nullif(primary_checks.standard_error, 0E0)') }} as z_statistic,
        primary_checks.critical_value,
        questions.sequential_method,
        questions.boundary_z,
        questions.planned_standard_error,
        questions.alpha,
        questions.challenger_count,
        case when questions.is_look and questions.comparison <> 'first_version' then questions.look_number end as look_number,
        questions.planned_looks,
        {{ round_significant('questions.information_share') }} as information_share,
        questions.first_window_date,
        questions.last_window_date,
        questions.window_count,
        case
            when judged_samples.task is not null then questions.as_of_date
            when questions.comparison = 'first_version' then challengers.cut_off_date
        end as labels_known_by_date,
        judged_samples.row_count,
        judged_samples.labelled_count,
        {{ round_significant('judged_samples.labelled_count / nullif(cast(judged_samples.row_count as double), 0E0)') }}
            as coverage_share,
        champions.artifact_sha256 as champion_artifact_sha256,
        challengers.artifact_sha256 as challenger_artifact_sha256,
        champions.training_content_hash as champion_training_hash,
        challengers.training_content_hash as challenger_training_hash,
        task_policy.policy_hash,
        judged_samples.rows_fingerprint,
        hashed_checks.checks_hash,
        judgements.code_commit,
        judgements.decision_sql_sha256
    from questions
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    inner join {{ ref('task_policy') }} as task_policy using (task)
    left join {{ source('recorded', 'model_versions') }} as champions
        on
            questions.task = champions.task
            and questions.champion_version = champions.model_version
    left join {{ source('recorded', 'model_versions') }} as challengers
        on
            questions.task = challengers.task
            and questions.challenger_version = challengers.model_version
    left join primary_checks
        on
            questions.task = primary_checks.task
            and questions.as_of_date = primary_checks.as_of_date
            and questions.challenger_version = primary_checks.challenger_version
    left join {{ ref('judged_samples') }} as judged_samples
        on
            questions.task = judged_samples.task
            and questions.as_of_date = judged_samples.as_of_date
            and questions.challenger_version = judged_samples.challenger_version
            and questions.comparison <> 'first_version'
    left join hashed_checks
        on
            questions.task = hashed_checks.task
            and questions.as_of_date = hashed_checks.as_of_date
            and questions.challenger_version = hashed_checks.challenger_version
    left join {{ source('recorded', 'judgements') }} as judgements
        on
            questions.task = judgements.task
            and questions.as_of_date = judgements.as_of_date
),

links as (
    select
        evidence.task,
        evidence.as_of_date,
        evidence.challenger_version,
        {{ canonical_text('evidence', decision_columns()) }} as evidence_text,
        row_number() over (
            partition by evidence.task
            order by evidence.as_of_date, evidence.challenger_version
        ) as link_number
    from evidence
),

chain as (
    select
        links.task,
        links.as_of_date,
        links.challenger_version,
        links.link_number,
        last_decisions.decision_id as previous_decision_id,
        {{ decision_id('links.evidence_text', 'last_decisions.decision_id') }} as decision_id
    from links
    left join last_decisions using (task)
    where links.link_number = 1

    union all

    select
        links.task,
        links.as_of_date,
        links.challenger_version,
        links.link_number,
        chain.decision_id as previous_decision_id,
        {{ decision_id('links.evidence_text', 'chain.decision_id') }} as decision_id
    from chain
    inner join links
        on
            chain.task = links.task
            and links.link_number = chain.link_number + 1
)

select
    {%- for column, data_type in decision_columns().items() %}
    cast(evidence.{{ column }} as {{ data_type }}) as {{ column }},
    {%- endfor %}
    chain.previous_decision_id,
    chain.decision_id
from evidence
inner join chain
    on
        evidence.task = chain.task
        and evidence.as_of_date = chain.as_of_date
        and evidence.challenger_version is not distinct from chain.challenger_version
