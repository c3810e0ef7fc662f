{#  The paired comparison of two model versions on the same rows, robust to rows that are not
    independent. Every metric is written as parts, one per row; the same two group-bys then give the
    difference and its standard error for all metrics and slices at once. -#}

{# A double as a decimal with 18 places, so that a sum does not depend on the order of the threads.
   NULL for NULL, NaN, infinity and from 1e12 on: the caller counts what is left. -#}
{% macro exact(value) -%}
    case when isfinite({{ value }}) and abs({{ value }}) < 1E12 then cast({{ value }} as decimal(38, 18)) end
{%- endmacro %}

{# The parts of the area under the ROC curve: placement values.
   A positive row's placement value is the share of the negatives it is ranked above, ties counting
   half; a negative row's the share of the positives ranked above it. Each half averages to the AUC.
   From mid-ranks, V10 = (R - K) / n and V01 = 1 - (R - K) / m (DeLong, DeLong and Clarke-Pearson 1988;
   Sun and Xu 2014).
   rows: a relation with `keys`, cluster_id, block_date, label_value (0 or 1), champion_score,
   challenger_score. keys: list of columns that separate the comparisons.
   Columns: keys, cluster_id, block_date, label_value, champion_part, challenger_part, weight, with
   weights that add to 2. One class only: parts are NULL. -#}
{% macro roc_auc_parts(rows, keys) %}
    {%- set by = keys | join(', ') %}
    select
        {%- for key in keys %}
        placed.{{ key }},
        {%- endfor %}
        placed.cluster_id,
        placed.block_date,
        placed.label_value,
        {%- for side in ['champion', 'challenger'] %}
        case
            when placed.label_value = 1
                then (placed.{{ side }}_negatives_to - placed.{{ side }}_negatives_at / 2E0)
                    / nullif(placed.negative_count, 0)
            else 1E0 - (placed.{{ side }}_positives_to - placed.{{ side }}_positives_at / 2E0)
                / nullif(placed.positive_count, 0)
        end / nullif(case when placed.label_value = 1 then placed.positive_count else placed.negative_count end, 0)
            as {{ side }}_part,
        {%- endfor %}
        1E0 / nullif(case when placed.label_value = 1 then placed.positive_count else placed.negative_count end, 0)
            as weight
    from (
        select
            {{ rows }}.*,
            count(*) filter (where label_value = 1) over (partition by {{ by }}) as positive_count,
            count(*) filter (where label_value = 0) over (partition by {{ by }}) as negative_count,
            {%- for side in ['champion', 'challenger'] %}
            {%- for class, label in [('positives', 1), ('negatives', 0)] %}
            count(*) filter (where label_value = {{ label }}) over (
                partition by {{ by }} order by {{ side }}_score
            ) as {{ side }}_{{ class }}_to,
            count(*) filter (where label_value = {{ label }}) over (
                partition by {{ by }}, {{ side }}_score
            ) as {{ side }}_{{ class }}_at{{ ',' if not loop.last }}
            {%- endfor %}{{ ',' if not loop.last }}
            {%- endfor %}
        from {{ rows }}
    ) as placed
{%- endmacro %}

{# The difference of two versions in each metric and its cluster-robust standard errors.
   parts: a relation with `keys`, cluster_id, block_date, champion_part, challenger_part, weight. A mean
   of rows has parts = the rows' losses and weight 1; roc_auc_parts gives those of the AUC.
   sample_count: SQL expression over the totals' keys: 1 for a mean, 2 for the AUC (its weights
   add to one for the positives and one for the negatives).
   With c = champion_part - challenger_part, W the sum of weights, k the sample count:
       difference = sum(c) / W,   D_g = (sum over g of c - difference * weight) * k / W,
       variance = G / (G - 1) * sum over g of D_g^2,
   once with g = cluster_id, once with g = block_date (the as_of_date,
   or the first of those whose labels overlap), and once with g = both, the cells that the two
   have in common (Cameron and Miller 2015; for the AUC Obuchowski 1997).
   Columns: keys, champion_value, challenger_value, difference (champion - challenger), row_count,
   valid_row_count (rows whose parts are finite), cluster_count, cluster_standard_error, date_count,
   date_standard_error, cell_count, cell_standard_error. Fewer than two groups: that standard error is NULL. -#}
{% macro clustered_difference(parts, keys, sample_count) %}
    {%- set by = keys | join(', ') %}
    {%- set groupings = {'cluster': 'cluster_id', 'date': 'block_date', 'cell': 'cluster_id, block_date'} %}
    select
        {%- for key in keys %}
        totals.{{ key }},
        {%- endfor %}
        totals.champion_sum / totals.weight_sum as champion_value,
        totals.challenger_sum / totals.weight_sum as challenger_value,
        totals.difference,
        totals.row_count,
        totals.valid_row_count,
        {%- for name in groupings %}
        by_{{ name }}.group_count as {{ name }}_count,
        by_{{ name }}.standard_error as {{ name }}_standard_error{{ ',' if not loop.last }}
        {%- endfor %}
    from (
        select
            {{ by }},
            cast(sum({{ exact('champion_part') }}) as double) as champion_sum,
            cast(sum({{ exact('challenger_part') }}) as double) as challenger_sum,
            cast(sum({{ exact('weight') }}) as double) as weight_sum,
            cast(sum({{ exact('champion_part - challenger_part') }}) as double)
                / cast(sum({{ exact('weight') }}) as double) as difference,
            count(*) as row_count,
            count({{ exact('champion_part - challenger_part') }}) as valid_row_count
        from {{ parts }}
        group by {{ by }}
    ) as totals
    {%- for name, grouping in groupings.items() %}
    left join (
        select
            {{ by }},
            count(*) as group_count,
            -- Each deviation as a share of the largest: squares in [0, 1] add up exactly as decimals.
            max(largest) * sqrt(
                cast(sum(cast(pow(deviation / nullif(largest, 0E0), 2) as decimal(38, 18))) as double)
                * count(*) / nullif(count(*) - 1, 0)
            ) as standard_error_if_any,
            case
                when count(*) < 2 then null
                when max(largest) = 0E0 then 0E0
                else standard_error_if_any
            end as standard_error
        from (
            select
                deviations.*,
                max(abs(deviations.deviation)) over (partition by {{ by }}) as largest
            from (
            select
                {%- for key in keys %}
                sums.{{ key }},
                {%- endfor %}
                (sums.difference_sum - sums.weight_sum * overall.difference)
                    * {{ sample_count }} / overall.weight_sum as deviation
            from (
                select
                    {{ by }},
                    {{ grouping }},
                    coalesce(cast(sum({{ exact('champion_part - challenger_part') }}) as double), 0E0) as difference_sum,
                    cast(sum({{ exact('weight') }}) as double) as weight_sum
                from {{ parts }}
                group by {{ by }}, {{ grouping }}
            ) as sums
            inner join (
                select
                    {{ by }},
                    cast(sum({{ exact('weight') }}) as double) as weight_sum,
                    cast(sum({{ exact('champion_part - challenger_part') }}) as double)
                        / cast(sum({{ exact('weight') }}) as double) as difference
                from {{ parts }}
                group by {{ by }}
            ) as overall using ({{ by }})
            ) as deviations
        ) as scaled
        group by {{ by }}
    ) as by_{{ name }} using ({{ by }})
    {%- endfor %}
{%- endmacro %}
