{#  Which periods an incremental SQL model has still to build, which are live and may be judged, and which
    days each looks back on. A period is one (as_of_date, known_at) of recorded.periods. -#}

{# Periods of the tasks that {{ this }} does not hold yet; all of them at a full refresh.
   tasks: list of task names. Columns: as_of_date, known_at. Grain: both. -#}
{% macro periods_to_build(tasks) %}
    select distinct
        periods.as_of_date,
        periods.known_at
    from {{ source('recorded', 'periods') }} as periods
    where
        periods.task in ({% for task in tasks %}'{{ task }}'{{ ', ' if not loop.last }}{% endfor %})
        {%- if is_incremental() %}
        and not exists (
            select 1
            from {{ this }} as built
            where
                built.as_of_date = periods.as_of_date
                and built.known_at = periods.known_at
        )
        {%- endif %}
{%- endmacro %}

{# The periods that monitoring and decisions may judge: asked for on their own day, and built. A period is
   recorded before its features and labels are built, and every task's run judges all tasks: without the
   recorded build it would be judged, for good, without the labels that became known on it.
   Columns: task, as_of_date. Grain: both. -#}
{% macro live_periods() %}
    select
        periods.task,
        periods.as_of_date
    from {{ source('recorded', 'periods') }} as periods
    inner join {{ ref('declared_tasks') }} as declared_tasks using (task)
    where
        periods.known_at = periods.as_of_date
        and exists (
            select 1
            from {{ source('recorded', 'feature_builds') }} as builds
            where
                builds.feature_table = declared_tasks.feature_table
                and builds.known_at = periods.known_at
        )
{%- endmacro %}

{# The days a period looks back on: the day before as_of_date is days_before = 1. Joining facts to
   this table on their day is an equality join, and never sees the as_of_date itself.
   periods: name of a relation or CTE with as_of_date, known_at. look_back_days: 1 or more.
   Columns: as_of_date, known_at, event_date, days_before. -#}
{% macro days_before(periods, look_back_days) %}
    select
        {{ periods }}.as_of_date,
        {{ periods }}.known_at,
        {{ add_days(periods ~ '.as_of_date', '-offsets.n') }} as event_date,
        offsets.n as days_before
    from {{ periods }}
    cross join {{ integers(1, look_back_days) }} as offsets
{%- endmacro %}

{# A predicate that keeps the facts of the days in `days` and lets the engine skip the rest.
   event_at: a timestamp column. days: a CTE made by days_before. No day at all: nothing is kept. -#}
{% macro is_within(event_at, days) -%}
    {{ event_at }} >= (select cast(min({{ days }}.event_date) as timestamp) from {{ days }})
    and {{ event_at }} < (select cast(max({{ days }}.as_of_date) as timestamp) from {{ days }})
{%- endmacro %}

{# A snapshot table (several known_at for one key) with the interval in which each row was the last
   known one: [known_at, superseded_at). superseded_at is 9999-12-31 for the newest row, not null, so
   that the join below has comparisons only and stays a hash join.
   A key that a later snapshot no longer holds stays known. -#}
{% macro with_validity(snapshot, key) %}
    select
        snapshot.*,
        coalesce(
            lead(snapshot.known_at) over (
                partition by
                    {% for column in key %}snapshot.{{ column }}{{ ', ' if not loop.last }}{% endfor %}
                order by snapshot.known_at
            ),
            cast('9999-12-31' as date)
        ) as superseded_at
    from {{ snapshot }} as snapshot
{%- endmacro %}

{# The join condition for with_validity. snapshot, period: relations that have known_at. -#}
{% macro was_last_known(snapshot, period) -%}
    {{ snapshot }}.known_at <= {{ period }}.known_at
        and {{ snapshot }}.superseded_at > {{ period }}.known_at
{%- endmacro %}

{# The as_of_dates whose outcome has happened and landed, and that {{ this }} does not hold yet.
   known_at is the first recorded period of the task at or after as_of_date + horizon_days.
   task: its name. features: CTE of the feature table. horizon_days: 1 or more.
   Columns: as_of_date, known_at. Grain: as_of_date. -#}
{% macro matured_periods(task, features, horizon_days) %}
    select
        predicted.as_of_date,
        min(periods.known_at) as known_at
    from (select distinct {{ features }}.as_of_date from {{ features }}) as predicted
    inner join {{ source('recorded', 'periods') }} as periods
        on periods.known_at >= {{ add_days('predicted.as_of_date', horizon_days) }}
    where
        periods.task = '{{ task }}'
        {%- if is_incremental() %}
        and not exists (
            select 1
            from {{ this }} as built
            where built.as_of_date = predicted.as_of_date
        )
        {%- endif %}
    group by predicted.as_of_date
{%- endmacro %}

{# The days an outcome may happen on: as_of_date itself is the first.
   periods: CTE with as_of_date, known_at. horizon_days: 1 or more.
   Columns: as_of_date, known_at, event_date. -#}
{% macro days_from(periods, horizon_days) %}
    select
        {{ periods }}.as_of_date,
        {{ periods }}.known_at,
        {{ add_days(periods ~ '.as_of_date', 'offsets.n') }} as event_date
    from {{ periods }}
    cross join {{ integers(0, horizon_days - 1) }} as offsets
{%- endmacro %}
