{#  How late the flights of a group arrived in the days before a period. -#}

{# Delay history of every group and period.
   arrivals: CTE of arrived flights: the group's columns, reported_date, known_at,
       arrival_delay_minutes. days: CTE made by days_before with 28 days or more.
   group_columns: list of columns that make the group. prefix: first part of the new names.
   windows: look-backs in days, each 1 to 28.
   Columns: the group's, as_of_date, known_at, then for each window w <prefix>_flight_count_<w>d,
   <prefix>_mean_arrival_delay_<w>d_minutes and <prefix>_late_share_<w>d (both null without a
   flight). Delays are capped at 180 minutes, late is over 15. Sums are of integers and are divided
   once, so the result does not depend on threads. -#}
{% macro delay_history(arrivals, days, group_columns, prefix, windows) %}
    select
        {% for column in group_columns %}{{ column }},
        {% endfor -%}
        as_of_date,
        known_at,
        {%- for window in windows %}
        sum(case when days_before <= {{ window }} then flight_count else 0 end)
            as {{ prefix }}_flight_count_{{ window }}d,
        cast(sum(case when days_before <= {{ window }} then delay_minutes else 0 end) as double)
            / nullif(sum(case when days_before <= {{ window }} then flight_count else 0 end), 0)
            as {{ prefix }}_mean_arrival_delay_{{ window }}d_minutes,
        cast(sum(case when days_before <= {{ window }} then late_count else 0 end) as double)
            / nullif(sum(case when days_before <= {{ window }} then flight_count else 0 end), 0)
            as {{ prefix }}_late_share_{{ window }}d{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            {% for column in group_columns %}group_days.{{ column }},
            {% endfor -%}
            {{ days }}.as_of_date,
            {{ days }}.known_at,
            {{ days }}.days_before,
            group_days.flight_count,
            group_days.delay_minutes,
            group_days.late_count
        from (
            select
                {% for column in group_columns %}{{ column }},
                {% endfor -%}
                reported_date,
                known_at,
                count(*) as flight_count,
                sum(least(arrival_delay_minutes, 180)) as delay_minutes,
                count(*) filter (where arrival_delay_minutes > 15) as late_count
            from {{ arrivals }}
            group by {% for column in group_columns %}{{ column }}, {% endfor %}reported_date, known_at
        ) as group_days
        inner join {{ days }}
            on
                group_days.reported_date = {{ days }}.event_date
                and group_days.known_at <= {{ days }}.known_at
    ) as look_back
    group by {% for column in group_columns %}{{ column }}, {% endfor %}as_of_date, known_at
{%- endmacro %}
