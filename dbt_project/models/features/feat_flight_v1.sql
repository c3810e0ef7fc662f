with

flight_schedules as (
    select * from {{ ref('stg_nycflights13__flight_schedules') }}
),

flights as (
    select * from {{ ref('stg_nycflights13__flights') }}
),

planes as (
    select * from {{ ref('stg_nycflights13__planes') }}
),

periods as (
    {{- periods_to_build(['flight_delay']) }}
),

days as (
    {{- days_before('periods', 28) }}
),

scheduled as (
    select
        flight_schedules.carrier,
        flight_schedules.flight_number,
        flight_schedules.origin,
        flight_schedules.scheduled_departure_at,
        flight_schedules.destination,
        flight_schedules.tail_number,
        flight_schedules.distance_miles,
        flight_schedules.scheduled_departure_local_hour,
        flight_schedules.scheduled_departure_local_minute,
        flight_schedules.scheduled_arrival_local_minute,
        periods.as_of_date,
        periods.known_at
    from flight_schedules
    inner join periods
        on
            flight_schedules.flight_date = periods.as_of_date
            and flight_schedules.published_at < cast(periods.as_of_date as timestamp)
            and flight_schedules.known_at <= periods.known_at
),

reported as (
    -- the flights of day D are reported on D + 1, so the day before as_of_date holds those of D - 2
    select
        *,
        cast(reported_at as date) as reported_date
    from flights
    where {{ is_within('reported_at', 'days') }}
),

arrivals as (
    select * from reported
    where arrival_delay_minutes is not null
),

carrier_history as (
    {{- delay_history('arrivals', 'days', ['carrier'], 'carrier', [28, 7]) }}
),

route_history as (
    {{- delay_history('arrivals', 'days', ['origin', 'destination'], 'route', [28, 7]) }}
),

departure_hour_history as (
    {{- delay_history(
        'arrivals', 'days', ['origin', 'scheduled_departure_local_hour'], 'departure_hour', [28, 7]
    ) }}
),

airport_history as (
    {{- delay_history('arrivals', 'days', ['origin'], 'airport', [1]) }}
),

plane_history as (
    {{- delay_history('arrivals', 'days', ['tail_number'], 'plane', [28]) }}
),

flight_number_history as (
    {{- delay_history(
        'arrivals', 'days', ['carrier', 'flight_number', 'origin'], 'flight_number', [28]
    ) }}
),

carrier_cancellations as (
    select
        reported.carrier,
        days.as_of_date,
        days.known_at,
        cast(count(*) filter (where reported.is_cancelled) as double) / count(*)
            as carrier_cancelled_share_7d
    from reported
    inner join days
        on
            reported.reported_date = days.event_date
            and reported.known_at <= days.known_at
    where days.days_before <= 7
    group by reported.carrier, days.as_of_date, days.known_at
),

plane_validity as (
    {{- with_validity('planes', ['tail_number']) }}
)

select
    scheduled.carrier,
    scheduled.flight_number,
    scheduled.origin,
    scheduled.scheduled_departure_at,
    scheduled.as_of_date,
    scheduled.known_at,
    -- the key's columns again, under the names that they have as features
    scheduled.carrier as airline,
    scheduled.origin as departure_airport,
    scheduled.destination,
    cast(extract(month from scheduled.as_of_date) as integer) as departure_month,
    {{ iso_day_of_week('scheduled.as_of_date') }} as departure_day_of_week,
    scheduled.scheduled_departure_local_minute,
    -- clock to clock, so an arrival past midnight is brought back into the day
    (scheduled.scheduled_arrival_local_minute - scheduled.scheduled_departure_local_minute + 1440)
        % 1440 as scheduled_clock_minutes,
    cast(scheduled.distance_miles as integer) as distance_miles,
    cast(extract(year from scheduled.as_of_date) as integer) - plane_validity.manufactured_year
        as plane_age_years,
    plane_validity.seat_count as plane_seat_count,
    cast(coalesce(carrier_history.carrier_flight_count_28d, 0) as integer) as carrier_flight_count_28d,
    carrier_history.carrier_mean_arrival_delay_28d_minutes,
    carrier_history.carrier_late_share_28d,
    cast(coalesce(carrier_history.carrier_flight_count_7d, 0) as integer) as carrier_flight_count_7d,
    carrier_history.carrier_mean_arrival_delay_7d_minutes,
    carrier_history.carrier_late_share_7d,
    cast(coalesce(route_history.route_flight_count_28d, 0) as integer) as route_flight_count_28d,
    route_history.route_mean_arrival_delay_28d_minutes,
    route_history.route_late_share_28d,
    cast(coalesce(route_history.route_flight_count_7d, 0) as integer) as route_flight_count_7d,
    route_history.route_mean_arrival_delay_7d_minutes,
    route_history.route_late_share_7d,
    cast(coalesce(departure_hour_history.departure_hour_flight_count_28d, 0) as integer) as departure_hour_flight_count_28d,
    departure_hour_history.departure_hour_mean_arrival_delay_28d_minutes,
    departure_hour_history.departure_hour_late_share_28d,
    cast(coalesce(departure_hour_history.departure_hour_flight_count_7d, 0) as integer) as departure_hour_flight_count_7d,
    departure_hour_history.departure_hour_mean_arrival_delay_7d_minutes,
    departure_hour_history.departure_hour_late_share_7d,
    cast(coalesce(airport_history.airport_flight_count_1d, 0) as integer) as airport_flight_count_1d,
    airport_history.airport_mean_arrival_delay_1d_minutes,
    airport_history.airport_late_share_1d,
    cast(coalesce(plane_history.plane_flight_count_28d, 0) as integer) as plane_flight_count_28d,
    plane_history.plane_mean_arrival_delay_28d_minutes,
    plane_history.plane_late_share_28d,
    cast(coalesce(flight_number_history.flight_number_flight_count_28d, 0) as integer) as flight_number_flight_count_28d,
    flight_number_history.flight_number_mean_arrival_delay_28d_minutes,
    flight_number_history.flight_number_late_share_28d,
    carrier_cancellations.carrier_cancelled_share_7d
from scheduled
left join carrier_history using (carrier, as_of_date, known_at)
left join route_history using (origin, destination, as_of_date, known_at)
left join departure_hour_history
    using (origin, scheduled_departure_local_hour, as_of_date, known_at)
left join airport_history using (origin, as_of_date, known_at)
left join plane_history using (tail_number, as_of_date, known_at)
left join flight_number_history using (carrier, flight_number, origin, as_of_date, known_at)
left join carrier_cancellations using (carrier, as_of_date, known_at)
left join plane_validity
    on
        scheduled.tail_number = plane_validity.tail_number
        and {{ was_last_known('plane_validity', 'scheduled') }}
