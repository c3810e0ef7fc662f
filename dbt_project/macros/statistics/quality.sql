{#  Losses of one prediction, and the figures of many that are no mean of losses.
    Smaller is better for every loss. A missing score or label gives NULL. -#}

{# Logarithmic loss of a probability given to what happened, clipped at 2.22e-16 on both sides as
   sklearn.metrics.log_loss does. probability: of the class that happened. -#}
{% macro clipped_log_loss(probability) -%}
    -- least() and greatest() pass over NULL and rank NaN highest: both would read as certainty
    case
        when {{ is_number(probability) }}
            then -ln(least(
                greatest(({{ probability }}), 2.220446049250313e-16), 1e0 - 2.220446049250313e-16
            ))
    end
{%- endmacro %}

{# ROC AUC, its standard error and average precision with exact ties, one row per group.
   relation has the columns of group_by, score and label_value (0 or 1), one row per prediction.
   With p positives and c rows at each distinct score, tp and n cumulative from the highest, np and nt
   in all: roc_auc = sum (c-p)/(nt-np) (tp-p/2)/np, sklearn.metrics.roc_auc_score;
   average_precision = sum p/np tp/n, sklearn.metrics.average_precision_score.
   roc_auc_standard_error after DeLong (1988): placement values of positives and negatives, variances
   over their counts; NULL with fewer than two of either.
   Domain: both classes present and every score a number, else NULL. -#}
{% macro ranking_metrics(relation, group_by) %}
    {%- set groups = group_by | join(', ') %}
    select
        {{ groups }},
        case when is_rankable then roc_auc end as roc_auc,
        case when is_rankable and positive_total > 1 and negative_total > 1
            then sqrt(
                greatest(0e0, positive_squares - positive_total * roc_auc * roc_auc)
                / greatest(1, positive_total - 1) / positive_total
                + greatest(0e0, negative_squares - negative_total * roc_auc * roc_auc)
                / greatest(1, negative_total - 1) / negative_total
            )
        end as roc_auc_standard_error,
        case when is_rankable then average_precision end as average_precision
    from (
        select
            {{ groups }},
            max(positive_total) as positive_total,
            max(negative_total) as negative_total,
            bool_and(is_number) and max(positive_total) > 0 and max(negative_total) > 0
                as is_rankable,
            sum(negatives / greatest(1, negative_total) * negative_placement) as roc_auc,
            sum(positives * positive_placement * positive_placement) as positive_squares,
            sum(negatives * negative_placement * negative_placement) as negative_squares,
            sum(positives / greatest(1, positive_total) * (positives_above / rows_above))
                as average_precision
        from (
            select
                *,
                -- of a negative: share of positives above it; of a positive: share of negatives below
                (positives_above - positives / 2) / greatest(1, positive_total)
                    as negative_placement,
                1e0 - (rows_above - positives_above - negatives / 2) / greatest(1, negative_total)
                    as positive_placement
            from (
                select
                    *,
                    sum(positives) over from_the_top as positives_above,
                    sum(positives + negatives) over from_the_top as rows_above,
                    sum(positives) over (partition by {{ groups }}) as positive_total,
                    sum(negatives) over (partition by {{ groups }}) as negative_total
                from (
                    select
                        {{ groups }},
                        score,
                        {{ is_number('score') }} as is_number,
                        cast(count(*) filter (where label_value = 1) as double) as positives,
                        cast(count(*) filter (where label_value = 0) as double) as negatives
                    from {{ relation }}
                    where label_value is not null
                    group by {{ groups }}, score
                ) as distinct_scores
                window from_the_top as (
                    partition by {{ groups }}
                    order by score desc
                    rows between unbounded preceding and current row
                )
            ) as cumulative
        ) as placements
        group by {{ groups }}
    ) as ranked
{%- endmacro %}

{# The reliability table: rows of a relation in bins of equal mass by score, one row per group and bin.
   relation: as for ranking_metrics. Equal scores share a bin, that of the middle of their ranks:
   floor(bin_count (rank - 1/2) / n) counted from 0, so the table does not depend on the rows' order.
   Columns: bin, row_count, mean_score, mean_label, standard_error (of mean_label, rows taken as
   independent; NULL with one row), least_score, greatest_score. -#}
{% macro reliability_table(relation, group_by, bin_count=10) %}
    {%- set groups = group_by | join(', ') %}
    select
        {{ groups }},
        bin,
        cast(sum(score_rows) as bigint) as row_count,
        sum(score * score_rows) / sum(score_rows) as mean_score,
        max(mean_label) as mean_label,
        case when sum(score_rows) > 1
            -- spread within each score, and of the scores about the bin: no large squares to subtract
            then sqrt(sum(
                score_rows * (score_variance + (score_mean - mean_label) * (score_mean - mean_label))
            ) / greatest(1e0, sum(score_rows) - 1e0) / sum(score_rows))
        end as standard_error,
        min(score) as least_score,
        max(score) as greatest_score
    from (
        select
            *,
            sum(score_mean * score_rows) over (partition by {{ groups }}, bin)
            / sum(score_rows) over (partition by {{ groups }}, bin) as mean_label
        from (
            select
                *,
                cast(floor({{ bin_count }} * (rows_below - score_rows / 2) / total_rows) as integer)
                    as bin
            from (
                select
                    *,
                    sum(score_rows) over (
                        partition by {{ groups }}
                        order by score
                        rows between unbounded preceding and current row
                    ) as rows_below,
                    sum(score_rows) over (partition by {{ groups }}) as total_rows
                from (
                    select
                        {{ groups }},
                        score,
                        cast(count(*) as double) as score_rows,
                        avg(label_value) as score_mean,
                        var_pop(label_value) as score_variance
                    from {{ relation }}
                    where label_value is not null
                    group by {{ groups }}, score
                ) as distinct_scores
            ) as cumulative
        ) as numbered
    ) as binned
    group by {{ groups }}, bin
{%- endmacro %}

{# Expected calibration error, an aggregate over the rows of one reliability table:
   sum over bins of row_count / n |mean_label - mean_score|. -#}
{% macro expected_calibration_error() -%}
    sum(row_count * abs(mean_label - mean_score)) / sum(row_count)
{%- endmacro %}

{# Spiegelhalter's z (1986), an aggregate over predictions: standard normal when scores are the true
   probabilities. sum (y-s)(1-2s) / sqrt(sum (1-2s)^2 s (1-s)). NULL when the root is 0. -#}
{% macro spiegelhalter_z(score, label) -%}
    sum(({{ label }} - {{ score }}) * (1e0 - 2e0 * {{ score }}))
    / nullif(sqrt(greatest(0e0, sum((1e0 - 2e0 * {{ score }}) * (1e0 - 2e0 * {{ score }})
        * {{ score }} * (1e0 - {{ score }})))), 0)
{%- endmacro %}

{# Coefficient of determination, an aggregate: 1 - sum (y-s)^2 / sum (y-mean)^2, as
   sklearn.metrics.r2_score. NULL with fewer than two labels or when every label is equal. -#}
{% macro r_squared(score, label) -%}
    1e0 - sum(({{ label }} - {{ score }}) * ({{ label }} - {{ score }}))
    / nullif(case when min({{ label }}) < max({{ label }})
        then var_pop({{ label }}) * count({{ label }}) else 0e0 end, 0)
{%- endmacro %}

{# Standard error of a mean of independent rows. NULL with fewer than two. -#}
{% macro standard_error(value) -%}
    stddev_samp({{ value }}) / sqrt(greatest(1, count({{ value }})))
{%- endmacro %}
