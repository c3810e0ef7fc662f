{#  Distributions that the engines lack. Every macro takes SQL expressions and gives one SQL
    expression; outside its domain, and for NULL or NaN, the value is NULL, never a guess.
    Logarithms, roots and quotients are guarded inside: an engine may evaluate a branch of a CASE
    that its condition rules out. -#}

{# Whether x is a number: false for NULL, NaN and infinities. -#}
{% macro is_number(x) -%}
    coalesce(isfinite({{ x }}), false)
{%- endmacro %}

{# P(X > statistic) of the chi-square distribution with whole degrees of freedom.
   Formula: the finite sums of Abramowitz and Stegun 26.4.4 and 26.4.5 (h is statistic / 2):
   even: exp(-h) sum_{i=0}^{df/2-1} h^i / i!; odd: erfc(sqrt(h)) + exp(-h) sum h^(i-1/2) / gamma(i+1/2).
   Domain: statistic >= 0, df 1, 2, 3, ... Agrees with scipy.stats.chi2.sf to 1e-12. -#}
{% macro chi_square_survival(statistic, df) -%}
    {{ return(adapter.dispatch('chi_square_survival')(statistic, df)) }}
{%- endmacro %}

{% macro default__chi_square_survival(statistic, df) -%}
    case
        when not {{ is_number(statistic) }} or ({{ df }}) is null then null
        when ({{ statistic }}) < 0 or ({{ df }}) < 1 then null
        when ({{ statistic }}) = 0 then 1e0
        else least(1e0,
            case
                when ({{ df }}) % 2 = 1
                    then 2e0 * {{ normal_cdf('-sqrt(greatest(0e0, ' ~ statistic ~ '))') }}
                else 0e0
            end
            + coalesce(
                list_sum(
                    list_transform(
                        range(1, cast(floor(greatest(({{ df }}), 1) / 2) as bigint) + 1),
                        lambda term: exp(
                            (term - 1 + (({{ df }}) % 2) / 2e0)
                            * ln(greatest(({{ statistic }}) / 2e0, 1e-300))
                            - ({{ statistic }}) / 2e0
                            - lgamma(term + (({{ df }}) % 2) / 2e0)
                        )
                    )
                ),
                0e0
            )
        )
    end
{%- endmacro %}

{# The 0.95 quantile of the chi-square distribution.
   A table of scipy.stats.chi2.ppf(0.95, df): there is no closed form, and no other level is asked for.
   Domain: df 1 .. 60 (a reference profile has at most 53 bins). -#}
{% macro chi_square_quantile_95(df) -%}
    {{ return(adapter.dispatch('chi_square_quantile_95')(df)) }}
{%- endmacro %}

{% macro default__chi_square_quantile_95(df) -%}
    case
        when ({{ df }}) between 1 and 60 then [
            3.841458820694124e0, 5.991464547107979e0, 7.814727903251179e0, 9.487729036781154e0,
            11.070497693516351e0, 12.591587243743977e0, 14.067140449340169e0,
            15.50731305586545e0, 16.918977604620448e0, 18.307038053275146e0, 19.67513757268249e0,
            21.02606981748307e0, 22.362032494826934e0, 23.684791304840576e0,
            24.995790139728616e0, 26.29622760486423e0, 27.58711163827534e0, 28.869299430392623e0,
            30.14352720564616e0, 31.410432844230918e0, 32.670573340917315e0, 33.92443847144381e0,
            35.17246162690806e0, 36.41502850180731e0, 37.65248413348277e0, 38.885138659830055e0,
            40.113272069413625e0, 41.33713815142739e0, 42.55696780429269e0, 43.77297182574219e0,
            44.98534328036513e0, 46.19425952027847e0, 47.39988391908093e0, 48.602367367294164e0,
            49.80184956820181e0, 50.99846016571065e0, 52.192319730102895e0, 53.383540622969356e0,
            54.572227758941736e0, 55.75847927888702e0, 56.94238714682408e0, 58.12403768086803e0,
            59.30351202689981e0, 60.480886582336446e0, 61.65623337627955e0, 62.829620411408165e0,
            64.00111197221803e0, 65.17076890356982e0, 66.3386488629688e0, 67.5048065495412e0,
            68.66929391228578e0, 69.83216033984813e0, 70.99345283378227e0, 72.15321616702309e0,
            73.31149302908324e0, 74.46832415930936e0, 75.62374846937608e0, 76.7778031560615e0,
            77.93052380523042e0, 79.08194448784874e0
        ][cast(({{ df }}) as bigint)]
    end
{%- endmacro %}

{# P(K > x) of Kolmogorov's distribution, the limit of sqrt(n) times the largest distance.
   Formula: Marsaglia, Tsang, Wang (2003); the theta series below 1.18, the alternating one above,
   four terms each leave less than 1e-16. Domain: every number; at or below 0 it is 1. -#}
{% macro kolmogorov_survival(x) -%}
    case
        when not {{ is_number(x) }} then null
        -- below 0.04 the missing mass is under 1e-300, and the squares would underflow
        when ({{ x }}) < 4e-2 then 1e0
        when ({{ x }}) < 1.18e0
            then 1e0 - {{ (2 * 3.141592653589793) ** 0.5 }}e0 / greatest(({{ x }}), 4e-2) * (
                {%- for k in [1, 3, 5, 7] %}
                exp(-{{ k * k * 3.141592653589793 ** 2 / 8 }}e0
                    / (greatest(({{ x }}), 4e-2) * greatest(({{ x }}), 4e-2)))
                {{- ' +' if not loop.last }}
                {%- endfor %}
            )
        else 2e0 * (
            {%- for k in [1, 2, 3, 4] %}
            {{ '- ' if k % 2 == 0 else '+ ' }}exp(-{{ 2 * k * k }}e0 * ({{ x }}) * ({{ x }}))
            {%- endfor %}
        )
    end
{%- endmacro %}

{# z of two proportions, pooled. Domain: both totals at least 1; no difference possible
   (pooled share 0 or 1): 0. Agrees with the square root of chi2_contingency(correction=False). -#}
{% macro two_proportion_z(count, total, other_count, other_total) -%}
    case
        when coalesce(({{ total }}), 0) < 1 or coalesce(({{ other_total }}), 0) < 1 then null
        when ({{ count }}) + ({{ other_count }}) in (0, ({{ total }}) + ({{ other_total }})) then 0e0
        else
            (({{ count }}) / cast(({{ total }}) as double)
                - ({{ other_count }}) / cast(({{ other_total }}) as double))
            / sqrt(greatest(1e-300,
                (({{ count }}) + ({{ other_count }}))
                / cast(({{ total }}) + ({{ other_total }}) as double)
                * (1e0 - (({{ count }}) + ({{ other_count }}))
                    / cast(({{ total }}) + ({{ other_total }}) as double))
                * (1e0 / greatest(({{ total }}), 1) + 1e0 / greatest(({{ other_total }}), 1))
            ))
    end
{%- endmacro %}

{# Rows of a relation with p_value adjusted by Benjamini and Hochberg (1995) within each group.
   relation: a CTE or table; p_value: its column; group_by: list of columns; adds adjusted_p_value, test_rank, test_count.
   A NULL p_value is no test: it stays NULL and does not count. Agrees with
   scipy.stats.false_discovery_control. The running minimum starts at the largest p_value. -#}
{% macro benjamini_hochberg(relation, p_value, group_by) %}
    select
        ranked.*,
        case
            when ranked.{{ p_value }} is not null
                then least(1e0, min(ranked.{{ p_value }} * ranked.test_count / ranked.test_rank) over (
                    partition by
                        {%- for column in group_by %} ranked.{{ column }},{% endfor %}
                        ranked.{{ p_value }} is null
                    order by ranked.test_rank desc
                    rows between unbounded preceding and current row
                ))
        end as adjusted_p_value
    from (
        select
            {{ relation }}.*,
            row_number() over (
                partition by
                    {%- for column in group_by %} {{ relation }}.{{ column }},{% endfor %}
                    {{ relation }}.{{ p_value }} is null
                order by {{ relation }}.{{ p_value }}
            ) as test_rank,
            count({{ relation }}.{{ p_value }}) over (
                partition by {% for column in group_by %}{{ relation }}.{{ column }}
                {{- ', ' if not loop.last }}{% endfor %}
            ) as test_count
        from {{ relation }}
    ) as ranked
{%- endmacro %}
