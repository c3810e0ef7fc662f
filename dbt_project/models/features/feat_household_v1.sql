with

transactions as (
    select * from {{ ref('stg_completejourney__transactions') }}
),

households as (
    select * from {{ ref('stg_completejourney__households') }}
),

periods as (
    {{- periods_to_build(['household_churn']) }}
),

days as (
    {{- days_before('periods', 56) }}
),

basket_parts as (
    -- the lines of a basket may have landed in several batches
    select
        household_id,
        basket_id,
        store_id,
        cast(transaction_at as date) as purchase_date,
        known_at,
        sum(sales_usd) as sales_usd
    from transactions
    where {{ is_within('transaction_at', 'days') }}
    group by household_id, basket_id, store_id, cast(transaction_at as date), known_at
),

baskets as (
    select
        basket_parts.household_id,
        basket_parts.basket_id,
        basket_parts.store_id,
        days.as_of_date,
        days.known_at,
        days.days_before,
        sum(basket_parts.sales_usd) as sales_usd
    from basket_parts
    inner join days
        on
            basket_parts.purchase_date = days.event_date
            and basket_parts.known_at <= days.known_at
    group by
        basket_parts.household_id,
        basket_parts.basket_id,
        basket_parts.store_id,
        days.as_of_date,
        days.known_at,
        days.days_before
),

purchases as (
    select
        household_id,
        as_of_date,
        known_at,
        min(days_before) as days_since_last_purchase,
        max(days_before) as days_since_first_purchase_56d,
        count(distinct days_before) as active_day_count_56d,
        -- days 1..7 before are week 0, 8..14 week 1
        count(distinct floor((days_before - 1) / 7)) as active_week_count_56d,
        count(distinct store_id) as store_count_56d,
        {%- for window in [56, 28, 14, 7] %}
        count(*) filter (where days_before <= {{ window }}) as basket_count_{{ window }}d,
        cast(sum(case when days_before <= {{ window }} then sales_usd else 0 end)
            as decimal(12, 2)) as spend_{{ window }}d_usd{{ ',' if not loop.last }}
        {%- endfor %}
    from baskets
    group by household_id, as_of_date, known_at
),

household_validity as (
    {{- with_validity('households', ['household_id']) }}
)

select
    purchases.household_id,
    purchases.as_of_date,
    purchases.known_at,
    purchases.days_since_last_purchase,
    purchases.days_since_first_purchase_56d,
    purchases.active_day_count_56d,
    purchases.active_week_count_56d,
    cast(purchases.days_since_first_purchase_56d - purchases.days_since_last_purchase as double)
        / nullif(purchases.active_day_count_56d - 1, 0) as mean_days_between_visits_56d,
    purchases.basket_count_56d,
    purchases.basket_count_28d,
    purchases.basket_count_14d,
    purchases.basket_count_7d,
    purchases.spend_56d_usd,
    purchases.spend_28d_usd,
    purchases.spend_14d_usd,
    purchases.spend_7d_usd,
    cast(purchases.spend_56d_usd as double) / purchases.basket_count_56d as mean_basket_56d_usd,
    purchases.store_count_56d,
    household_validity.income_band,
    household_validity.age_band,
    household_validity.household_size_band,
    household_validity.kids_count_band
from purchases
left join household_validity
    on
        purchases.household_id = household_validity.household_id
        and {{ was_last_known('household_validity', 'purchases') }}
