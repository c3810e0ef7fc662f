with

flights as (
    select * from {{ source('nycflights13', 'flights') }}
)

select
    carrier,
    flight as flight_number,
    origin,
    {{ add_minutes('time_hour', 'minute') }} as scheduled_departure_at,
    make_date(year, month, day) as flight_date,
    {{ add_minutes('cast(make_date(year, month, day) as timestamp)', 30 * 60) }} as reported_at,
    dest as destination,
    tailnum as tail_number,
    hour as scheduled_departure_local_hour,
    cast(dep_delay as integer) as departure_delay_minutes,
    cast(arr_delay as integer) as arrival_delay_minutes,
    dep_time is null as is_cancelled,
    dep_time is not null and arr_delay is null as is_diverted,
    known_at
from flights
