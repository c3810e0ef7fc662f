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

purchases as (
    select distinct
        transactions.household_id,
        days.as_of_date
    from transactions
    inner join days
        on
            cast(transactions.transaction_at as date) = days.event_date
            and transactions.known_at <= days.known_at
    where transactions.transaction_at >= (select cast(min(event_date) as timestamp) from days)
)

select
    entities.household_id,
    entities.as_of_date,
    entities.known_at,
    case when purchases.household_id is null then 1 else 0 end as is_churned
from entities
left join purchases using (household_id, as_of_date)
