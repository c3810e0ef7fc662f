with

transactions as (
    select * from {{ source('completejourney', 'transactions') }}
)

select
    household_id,
    store_id,
    basket_id,
    product_id,
    quantity,
    cast(sales_value as decimal(12, 2)) as sales_usd,
    cast(retail_disc as decimal(12, 2)) as retail_discount_usd,
    cast(coupon_disc as decimal(12, 2)) as coupon_discount_usd,
    cast(coupon_match_disc as decimal(12, 2)) as coupon_match_discount_usd,
    week as source_week,
    cast(transaction_timestamp as timestamp) as transaction_at,
    known_at
from transactions
