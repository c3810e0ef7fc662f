with

households_v1 as (
    select * from {{ ref('feat_household', v=1) }}
),

products as (
    select * from {{ ref('stg_completejourney__products') }}
),

campaigns as (
    select * from {{ ref('stg_completejourney__campaigns') }}
),

campaign_households as (
    select * from {{ ref('stg_completejourney__campaign_households') }}
),

coupon_redemptions as (
    select * from {{ ref('stg_completejourney__coupon_redemptions') }}
),

periods as (
    {{- periods_to_build(['household_churn']) }}
),

rhythm_days as (
    {{- days_before('periods', 84) }}
),

days as (
    select * from rhythm_days
    where days_before <= 56
),

transactions as (
    select
        *,
        cast(transaction_at as date) as purchase_date
    from {{ ref('stg_completejourney__transactions') }}
    where {{ is_within('transaction_at', 'rhythm_days') }}
),

first_described as (
    -- a product keeps the description under which it was first known
    select
        product_id,
        department,
        is_private_label,
        known_at
    from (
        select
            products.*,
            min(products.known_at) over (partition by products.product_id) as first_known_at
        from products
    ) as described
    where known_at = first_known_at
),

department_days as (
    -- a purchase counts once its product is described too; a product that the list lacks counts
    -- without a department
    select
        transactions.household_id,
        transactions.purchase_date,
        first_described.department,
        greatest(
            transactions.known_at, coalesce(first_described.known_at, transactions.known_at)
        ) as known_at,
        count(*) as line_count,
        sum(transactions.sales_usd) as sales_usd,
        sum(
            transactions.retail_discount_usd
            + transactions.coupon_discount_usd
            + transactions.coupon_match_discount_usd
        ) as discount_usd,
        sum(transactions.coupon_discount_usd) as coupon_discount_usd,
        sum(case when first_described.is_private_label then transactions.sales_usd else 0 end)
            as private_label_usd
    from transactions
    left join first_described using (product_id)
    group by
        transactions.household_id,
        transactions.purchase_date,
        first_described.department,
        greatest(
            transactions.known_at, coalesce(first_described.known_at, transactions.known_at)
        )
),

departments as (
    select
        department_days.household_id,
        days.as_of_date,
        days.known_at,
        department_days.department,
        sum(department_days.line_count) as line_count,
        sum(department_days.sales_usd) as sales_usd,
        sum(department_days.discount_usd) as discount_usd,
        sum(department_days.coupon_discount_usd) as coupon_discount_usd,
        sum(department_days.private_label_usd) as private_label_usd
    from department_days
    inner join days
        on
            department_days.purchase_date = days.event_date
            and department_days.known_at <= days.known_at
    group by
        department_days.household_id, days.as_of_date, days.known_at, department_days.department
),

assortment as (
    select
        household_id,
        as_of_date,
        known_at,
        count(department) as department_count_56d,
        cast(sum(line_count) as bigint) as line_count_56d,
        sum(sales_usd) as sales_usd,
        sum(discount_usd) as discount_usd,
        sum(coupon_discount_usd) as coupon_discount_usd,
        sum(private_label_usd) as private_label_usd,
        sum(
            case
                when department in ('PRODUCE', 'MEAT', 'SEAFOOD', 'DELI', 'PASTRY') then sales_usd
                else 0
            end
        ) as fresh_usd
    from departments
    group by household_id, as_of_date, known_at
),

purchase_days as (
    select
        transactions.household_id,
        transactions.purchase_date,
        min(transactions.known_at) as known_at
    from transactions
    group by transactions.household_id, transactions.purchase_date
),

visits as (
    -- each day with a purchase, beside the next later one
    select
        purchase_days.household_id,
        rhythm_days.as_of_date,
        rhythm_days.known_at,
        rhythm_days.days_before,
        lag(rhythm_days.days_before) over (
            partition by
                purchase_days.household_id, rhythm_days.as_of_date, rhythm_days.known_at
            order by rhythm_days.days_before
        ) as next_days_before
    from purchase_days
    inner join rhythm_days
        on
            purchase_days.purchase_date = rhythm_days.event_date
            and purchase_days.known_at <= rhythm_days.known_at
),

rhythm as (
    select
        household_id,
        as_of_date,
        known_at,
        min(days_before) as open_gap_days,
        -- the gap still open, from the last purchase to as_of_date, is one of the gaps
        max(days_before - coalesce(next_days_before, 0)) filter (where days_before <= 56)
            as longest_gap_56d_days,
        count(*) filter (where days_before between 29 and 56) as active_day_count_29d_to_56d,
        count(*) filter (where days_before between 57 and 84) as active_day_count_57d_to_84d,
        count(distinct floor((days_before - 1) / 7)) as active_week_count_84d,
        -- past gaps lie between two purchases; null when next_days_before is
        max(days_before - next_days_before) as longest_past_gap_84d_days,
        median(days_before - next_days_before) as median_past_gap_84d_days
    from visits
    group by household_id, as_of_date, known_at
),

redemptions as (
    select
        coupon_redemptions.household_id,
        days.as_of_date,
        days.known_at,
        count(*) as coupon_redemption_count_56d
    from coupon_redemptions
    inner join days
        on
            cast(coupon_redemptions.redeemed_at as date) = days.event_date
            and coupon_redemptions.known_at <= days.known_at
    group by coupon_redemptions.household_id, days.as_of_date, days.known_at
),

received_campaigns as (
    -- a campaign described or sent again in a later snapshot is still one campaign
    select
        campaign_households.household_id,
        campaign_households.campaign_id,
        campaigns.start_date,
        campaigns.end_date,
        min(greatest(campaigns.known_at, campaign_households.known_at)) as known_at
    from campaign_households
    inner join campaigns using (campaign_id)
    group by
        campaign_households.household_id,
        campaign_households.campaign_id,
        campaigns.start_date,
        campaigns.end_date
),

campaign_exposure as (
    -- a campaign counts from the day after it started; its end is announced when it starts
    select
        received_campaigns.household_id,
        periods.as_of_date,
        periods.known_at,
        count(distinct received_campaigns.campaign_id) as active_campaign_count
    from received_campaigns
    inner join periods
        on
            received_campaigns.start_date < periods.as_of_date
            and received_campaigns.end_date >= periods.as_of_date
            and received_campaigns.known_at <= periods.known_at
    group by received_campaigns.household_id, periods.as_of_date, periods.known_at
)

select
    households_v1.household_id,
    households_v1.as_of_date,
    households_v1.known_at,
    households_v1.days_since_last_purchase,
    households_v1.days_since_first_purchase_56d,
    households_v1.active_day_count_56d,
    households_v1.active_week_count_56d,
    households_v1.mean_days_between_visits_56d,
    households_v1.basket_count_56d,
    households_v1.basket_count_28d,
    households_v1.basket_count_14d,
    households_v1.basket_count_7d,
    households_v1.spend_56d_usd,
    households_v1.spend_28d_usd,
    households_v1.spend_14d_usd,
    households_v1.spend_7d_usd,
    households_v1.mean_basket_56d_usd,
    households_v1.store_count_56d,
    households_v1.income_band,
    households_v1.age_band,
    households_v1.household_size_band,
    households_v1.kids_count_band,
    rhythm.longest_gap_56d_days,
    rhythm.active_day_count_29d_to_56d,
    rhythm.active_day_count_57d_to_84d,
    rhythm.active_week_count_84d,
    rhythm.longest_past_gap_84d_days,
    cast(rhythm.median_past_gap_84d_days as double) as median_past_gap_84d_days,
    cast(rhythm.open_gap_days as double) / rhythm.longest_past_gap_84d_days
        as open_to_longest_past_gap_84d_ratio,
    coalesce(assortment.line_count_56d, 0) as line_count_56d,
    coalesce(assortment.department_count_56d, 0) as department_count_56d,
    cast(assortment.private_label_usd as double) / nullif(assortment.sales_usd, 0)
        as private_label_spend_56d_share,
    cast(assortment.fresh_usd as double) / nullif(assortment.sales_usd, 0)
        as fresh_spend_56d_share,
    cast(assortment.discount_usd as double)
        / nullif(assortment.sales_usd + assortment.discount_usd, 0) as discount_56d_share,
    cast(coalesce(assortment.coupon_discount_usd, 0) as decimal(12, 2)) as coupon_discount_56d_usd,
    coalesce(redemptions.coupon_redemption_count_56d, 0) as coupon_redemption_count_56d,
    coalesce(campaign_exposure.active_campaign_count, 0) as active_campaign_count
from households_v1
inner join rhythm using (household_id, as_of_date, known_at)
left join assortment using (household_id, as_of_date, known_at)
left join redemptions using (household_id, as_of_date, known_at)
left join campaign_exposure using (household_id, as_of_date, known_at)
