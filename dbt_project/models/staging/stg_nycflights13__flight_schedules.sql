with

flight_schedules as (
    select * from {{ source('nycflights13', 'flight_schedules') }}
)

select
    carrier,
    flight as flight_number,
    origin,
    {{ add_minutes('time_hour', 'minute') }} as scheduled_departure_at,
    make_date(year, month, day) as flight_date,
    cast({{ add_days('make_date(year, month, day)', '-1') }} as timestamp) as published_at,
    dest as destination,
    tailnum as tail_number,
    distance as distance_miles,
    hour as scheduled_departure_local_hour,
    cast(hour * 60 + minute as integer) as scheduled_departure_local_minute,
    -- hhmm on the destination's clock: 1435 is minute 875 of the day
    cast((sched_arr_time - sched_arr_time % 100) / 100 * 60 + sched_arr_time % 100 as integer)
        as scheduled_arrival_local_minute,
    known_at
from flight_schedules
