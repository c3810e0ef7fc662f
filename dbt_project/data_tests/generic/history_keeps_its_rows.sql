{#  Builds that recorded.feature_builds holds and of which rows are gone: a history is appended to,
    never updated or thinned. feature_table: name without version. feature_version: a whole number.
    Fails with each such build, the rows it appended and the rows still there. -#}
{% test history_keeps_its_rows(model, feature_table, feature_version) %}
select
    builds.known_at,
    builds.row_count as appended_row_count,
    count(history.known_at) as present_row_count
from {{ source('recorded', 'feature_builds') }} as builds
left join {{ model }} as history
    on
        builds.known_at = history.known_at
        and history.as_of_date between builds.first_as_of_date and builds.last_as_of_date
where
    builds.feature_table = '{{ feature_table }}'
    and builds.feature_version = {{ feature_version }}
group by builds.known_at, builds.first_as_of_date, builds.row_count
having count(history.known_at) < builds.row_count
{% endtest %}
