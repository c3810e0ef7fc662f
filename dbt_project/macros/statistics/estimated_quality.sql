{#  Quality without labels. A score's calibrated probability c says how often the class happened at
    that score on the holdout; the losses to expect follow in closed form (confidence-based performance
    estimation, CBPE, as NannyML does it). It is right as long as c still holds: a concept drift, under
    which the same score means something else, is invisible to it. -#}

{# Scores with their calibrated probability: linear between two knots, constant beyond the ends, as
   sklearn.isotonic.IsotonicRegression.predict with out_of_bounds='clip'.
   scores: a relation with the columns of keys and score. knots: a relation with keys, score,
   probability, one row per knot. keys: list of columns that name a map.
   Adds probability to the columns of scores; NULL where there is no map or the score is no number. -#}
{% macro calibrated_scores(scores, knots, keys) -%}
    {{ return(adapter.dispatch('calibrated_scores')(scores, knots, keys)) }}
{%- endmacro %}

{% macro default__calibrated_scores(scores, knots, keys) %}
    {%- set names = keys | join(', ') %}
    select
        clipped.* exclude (clipped_score),
        case
            when segments.next_score > segments.knot_score
                then
                    segments.knot_probability
                    + (segments.next_probability - segments.knot_probability)
                    / (segments.next_score - segments.knot_score)
                    * (clipped.clipped_score - segments.knot_score)
            else segments.knot_probability
        end as probability
    from (
        select
            scores.*,
            -- least and greatest pass over NULL and rank NaN highest
            case
                when {{ is_number('scores.score') }}
                    then least(greatest(scores.score, ends.least_score), ends.greatest_score)
            end as clipped_score
        from {{ scores }} as scores
        left join (
            select
                {{ names }},
                min(score) as least_score,
                max(score) as greatest_score
            from {{ knots }}
            group by {{ names }}
        ) as ends using ({{ names }})
    ) as clipped
    asof left join (
        select
            {{ names }},
            score as knot_score,
            probability as knot_probability,
            lead(score) over (partition by {{ names }} order by score) as next_score,
            lead(probability) over (partition by {{ names }} order by score) as next_probability
        from {{ knots }}
    ) as segments
        on
            {% for key in keys %}clipped.{{ key }} = segments.{{ key }}
            and {% endfor %}clipped.clipped_score >= segments.knot_score
{%- endmacro %}

{# Log loss to expect of a binary score: c loss(s) + (1-c) loss(1-s), each clipped as in
   clipped_log_loss. score, probability: 0 to 1. NULL for no number. -#}
{% macro expected_log_loss(score, probability) -%}
    {{ probability }} * {{ clipped_log_loss(score) }}
    + (1e0 - {{ probability }}) * {{ clipped_log_loss('1e0 - ' ~ score) }}
{%- endmacro %}

{# Squared error of a binary score to expect: c (1-s)^2 + (1-c) s^2. -#}
{% macro expected_brier_score(score, probability) -%}
    {{ probability }} * (1e0 - {{ score }}) * (1e0 - {{ score }})
    + (1e0 - {{ probability }}) * {{ score }} * {{ score }}
{%- endmacro %}

{# ROC AUC to expect, with exact ties, one row per group. relation: the columns of group_by, score and
   probability, one row per prediction. Each row counts as a positive with weight c and as a negative
   with weight 1-c, so with C = sum c, D = sum (1-c), and K 1 where a score is above another, 1/2 where
   they are equal: roc_auc = sum c_i (1-c_j) K(s_i, s_j) / (C D), as NannyML. A row is also compared with
   itself, which pulls the figure of n rows towards 1/2 by at most 1/n of its distance.
   roc_auc_standard_error: of a ratio of U-statistics by its influence,
   n/(n-1) sum (c_i (P_i - A) / C + (1-c_i) (Q_i - A) / D)^2, P_i the weighted share of negatives below
   row i, Q_i that of positives above. It covers which rows the window holds, not their labels' chance.
   Domain: every score and probability a number, C and D above 0, else NULL; the error two rows. -#}
{% macro expected_roc_auc(relation, group_by) %}
    {%- set groups = group_by | join(', ') %}
    select
        {{ groups }},
        case when is_rankable then roc_auc end as roc_auc,
        case when is_rankable and row_total > 1
            then sqrt(
                greatest(0e0, row_total / greatest(1e0, row_total - 1e0) * sum_of_squares)
            )
        end as roc_auc_standard_error
    from (
        select
            {{ groups }},
            max(row_total) as row_total,
            bool_and(is_rankable) as is_rankable,
            max(roc_auc) as roc_auc,
            -- the rows of one score share P and Q, and differ in c: sum (c a + (1-c) b)^2
            sum(
                squared_probability * positive_influence * positive_influence
                + 2e0 * (positive_weight - squared_probability)
                * positive_influence * negative_influence
                + (score_rows - 2e0 * positive_weight + squared_probability)
                * negative_influence * negative_influence
            ) as sum_of_squares
        from (
            select
                *,
                (negatives_below - roc_auc) / positive_divisor as positive_influence,
                (positives_above - roc_auc) / negative_divisor as negative_influence
            from (
                select
                    *,
                    sum(positive_weight * negatives_below) over (partition by {{ groups }})
                    / positive_divisor as roc_auc
                from (
                    select
                        *,
                        bool_and(is_number) over (partition by {{ groups }})
                        and positive_total > 0 and negative_total > 0 as is_rankable,
                        case when positive_total > 0 then positive_total else 1e0 end
                            as positive_divisor,
                        case when negative_total > 0 then negative_total else 1e0 end
                            as negative_divisor,
                        (positives_upto - positive_weight / 2)
                        / case when positive_total > 0 then positive_total else 1e0 end
                            as positives_above,
                        1e0 - (negatives_upto - negative_weight / 2)
                        / case when negative_total > 0 then negative_total else 1e0 end
                            as negatives_below
                    from (
                        select
                            *,
                            sum(positive_weight) over from_the_top as positives_upto,
                            sum(negative_weight) over from_the_top as negatives_upto,
                            sum(positive_weight) over (partition by {{ groups }}) as positive_total,
                            sum(negative_weight) over (partition by {{ groups }}) as negative_total,
                            sum(score_rows) over (partition by {{ groups }}) as row_total
                        from (
                            select
                                {{ groups }},
                                score,
                                bool_and({{ is_number('score') }} and {{ is_number('probability') }})
                                    as is_number,
                                cast(count(*) as double) as score_rows,
                                coalesce(sum(probability), 0e0) as positive_weight,
                                coalesce(sum(1e0 - probability), 0e0) as negative_weight,
                                coalesce(sum(probability * probability), 0e0) as squared_probability
                            from {{ relation }}
                            group by {{ groups }}, score
                        ) as distinct_scores
                        window from_the_top as (
                            partition by {{ groups }}
                            order by score desc
                            rows between unbounded preceding and current row
                        )
                    ) as cumulative
                ) as placements
            ) as ranked
        ) as influences
        group by {{ groups }}
    ) as estimated
{%- endmacro %}

{# The losses of multiclass predictions to expect, one row per unit. relation: the columns of unit_by,
   score, probability and is_predicted (the class with the highest score), one row per class. The
   calibrated probabilities of a unit are divided by their sum; where all are 0 they are taken as equal,
   as sklearn.calibration.CalibratedClassifierCV does. With p these and s the scores of the classes:
   log_loss = sum p loss(s); brier_score = sum s^2 + 1 - 2 sum p s; error_rate = 1 - p of the predicted.
   NULL when a class has no number. -#}
{% macro expected_multiclass_losses(relation, unit_by) %}
    {%- set units = unit_by | join(', ') %}
    select
        {{ units }},
        case when bool_and({{ is_number('share') }}) then sum(share * {{ clipped_log_loss('score') }})
        end as log_loss,
        case when bool_and({{ is_number('share') }})
            then greatest(0e0, sum(score * score) + 1e0 - 2e0 * sum(share * score))
        end as brier_score,
        case when bool_and({{ is_number('share') }})
            then 1e0 - sum(share) filter (where is_predicted)
        end as error_rate
    from (
        select
            *,
            case
                when not bool_and({{ is_number('score') }} and {{ is_number('probability') }})
                    over of_unit then null
                when sum(probability) over of_unit > 0
                    then probability / sum(probability) over of_unit
                else 1e0 / count(*) over of_unit
            end as share
        from {{ relation }}
        window of_unit as (partition by {{ units }})
    ) as shares
    group by {{ units }}
{%- endmacro %}
