{#  A view: only a running rollout reads it, and what landed is never changed, so it gives the same rows
    whenever it is read. -#}
{{ config(materialized='view') }}

{% set horizon_days = 28 %}

with

households as (
    select * from {{ ref('feat_household', v=1) }}
),

transactions as (
    select * from {{ ref('stg_completejourney__transactions') }}
),

matured as (
    {{- matured_periods('household_churn', 'households', horizon_days) }}
),

entities as (
    select distinct
        households.household_id,
        matured.as_of_date,
        matured.known_at
    from households
    inner join matured using (as_of_date)
),

days as (
    {{- days_from('matured', horizon_days) }}
),

-- A household's day first: a day belongs to the horizons of four periods.
spent_days as (
    select
        household_id,
        cast(transaction_at as date) as event_date,
        known_at,
        sum(sales_usd) as spend_usd,
        count(distinct basket_id) as basket_count
    from transactions
    where transaction_at >= (select cast(min(event_date) as timestamp) from days)
    group by household_id, cast(transaction_at as date), known_at
),

purchases as (
    select
        spent_days.household_id,
        days.as_of_date,
        sum(spent_days.spend_usd) as spend_usd,
        sum(spent_days.basket_count) as basket_count
    from spent_days
    inner join days
        on
            spent_days.event_date = days.event_date
            and spent_days.known_at <= days.known_at
    group by spent_days.household_id, days.as_of_date
)

select
    entities.household_id,
    entities.as_of_date,
    entities.known_at,
    cast(coalesce(purchases.spend_usd, 0) as decimal(12, 2)) as spend_next_28d_usd,
    cast(coalesce(purchases.basket_count, 0) as bigint) as basket_count_next_28d
from entities
left join purchases using (household_id, as_of_date)
