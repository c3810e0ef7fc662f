{#  Two arms side by side: who is covered, who is in which arm, whether the split is what was asked for,
    and how much the arms differ. Nothing here knows of rollouts or decides. -#}

{# A share in [0, 1) out of a text: the first 52 bits of its md5, over 2^52. Equal texts give equal shares. -#}
{% macro hash_share(text) -%}
    {{ return(adapter.dispatch('hash_share')(text)) }}
{%- endmacro %}

{% macro default__hash_share(text) -%}
    cast('0x' || substr(md5({{ text }}), 1, 13) as bigint) / 4503599627370496E0
{%- endmacro %}

{# P value that two arms which were to be equally large have these counts: Pearson's chi-square with one
   degree of freedom, (t - c)^2 / (t + c). As scipy.stats.chisquare([c, t]). No unit at all: NULL. -#}
{% macro sample_ratio_p_value(control_count, treatment_count) -%}
    {{ chi_square_survival(
        'pow(cast(' ~ treatment_count ~ ' as double) - ' ~ control_count ~ ', 2)'
        ~ ' / nullif(cast(' ~ treatment_count ~ ' + ' ~ control_count ~ ' as double), 0E0)', 1
    ) }}
{%- endmacro %}

{# Natural logarithm of the e-value against equally large arms: the sequential multinomial test of Lindon
   and Malek (2022, arXiv 2011.03567) with a uniform prior over the treatment's share,
       ln e = ln B(c + 1, t + 1) + (c + t) ln 2,   B the beta function.
   However often it is looked at, it reaches ln(1 / a) with probability a or less in equally large arms. -#}
{% macro sample_ratio_log_e_value(control_count, treatment_count) -%}
    {{ return(adapter.dispatch('sample_ratio_log_e_value')(control_count, treatment_count)) }}
{%- endmacro %}

{% macro default__sample_ratio_log_e_value(control_count, treatment_count) -%}
    lgamma({{ control_count }} + 1E0) + lgamma({{ treatment_count }} + 1E0)
    - lgamma({{ control_count }} + {{ treatment_count }} + 2E0)
    + ({{ control_count }} + {{ treatment_count }}) * 0.6931471805599453E0
{%- endmacro %}

{# The difference of two arms' means, plain and by CUPED, from one row per unit.
   units: a relation with `keys`, arm (control or treatment), unit_value, unit_covariate; keys: list of
   columns that separate the comparisons.
   Each arm is kept as sufficient statistics; with S the sums of squares and products of an arm about its mean:
       difference = mean(y | treatment) - mean(y | control),   variance = sum over arms of S_yy / (n - 1) / n,
       theta = C_xy / C_xx about the mean of both arms,
   and CUPED (Deng, Xu, Kohavi and Walker 2013) is the same for y - theta * x. A unit without a finite
   covariate counts as one with the mean covariate. A covariate that does not vary: as if theta were 0, and
   the column is NULL.
   Values are taken about the mean of both arms and as a share of the largest, so that they add up exactly
   as decimals, whatever the order of the threads.
   Columns: keys, per arm unit_count, valid_unit_count (those with a finite value), sum, sum_of_squares;
   difference, standard_error, theta, cuped_difference, cuped_standard_error. NULL: fewer than two units in an arm. -#}
{% macro compared_arms(units, keys) %}
    {%- set by = keys | join(', ') %}
    {%- set arms = ['control', 'treatment'] %}
    {%- set products = {'y': 'y', 'yy': 'y * y', 'x': 'x', 'xx': 'x * x', 'xy': 'x * y'} %}
    select
        {{ by }},
        {%- for arm in arms %}
        {{ arm }}_unit_count,
        {{ arm }}_valid_unit_count,
        {{ arm }}_valid_unit_count * centre + scale * {{ arm }}_y as {{ arm }}_sum,
        {{ arm }}_valid_unit_count * centre * centre + 2E0 * centre * scale * {{ arm }}_y
            + scale * scale * {{ arm }}_yy as {{ arm }}_sum_of_squares,
        {%- endfor %}
        scale * difference as difference,
        scale * {{ root('variance') }} as standard_error,
        theta * scale / nullif(covariate_scale, 0E0) as theta,
        scale * (difference - theta * covariate_difference) as cuped_difference,
        scale * {{ root('cuped_variance') }} as cuped_standard_error
    from (
    select
        arms.*,
        control_yy_variance + treatment_yy_variance as variance,
        {%- for arm in arms %}
        {{ arm }}_yy_variance - 2E0 * theta * {{ arm }}_xy_variance + theta * theta * {{ arm }}_xx_variance
        {{- ' +' if not loop.last }}
        {%- endfor %} as cuped_variance
    from (
        select
            sums.*,
            treatment_y / nullif(treatment_valid_unit_count, 0) - control_y / nullif(control_valid_unit_count, 0)
                as difference,
            treatment_x / nullif(treatment_valid_unit_count, 0) - control_x / nullif(control_valid_unit_count, 0)
                as covariate_difference,
            {%- for arm in arms %}
            {%- for product in ['yy', 'xx', 'xy'] %}
            ({{ arm }}_{{ product }} - {{ arm }}_{{ product[0] }} * {{ arm }}_{{ product[1] }}
                / nullif({{ arm }}_valid_unit_count, 0))
                / nullif({{ arm }}_valid_unit_count - 1, 0)
                / nullif({{ arm }}_valid_unit_count, 0) as {{ arm }}_{{ product }}_variance,
            {%- endfor %}
            {%- endfor %}
            coalesce(
                (control_xy + treatment_xy - (control_x + treatment_x) * (control_y + treatment_y)
                    / nullif(control_valid_unit_count + treatment_valid_unit_count, 0))
                / nullif(greatest(0E0, control_xx + treatment_xx - pow(control_x + treatment_x, 2)
                    / nullif(control_valid_unit_count + treatment_valid_unit_count, 0)), 0E0),
                0E0
            ) as theta
        from (
            select
                {{ by }},
                max(centre) as centre,
                max(scale) as scale,
                max(covariate_scale) as covariate_scale,
                {%- for arm in arms %}
                count(*) filter (where arm = '{{ arm }}') as {{ arm }}_unit_count,
                count(y) filter (where arm = '{{ arm }}') as {{ arm }}_valid_unit_count,
                {%- for name, product in products.items() %}
                coalesce(cast(sum({{ exact(product) }}) filter (where arm = '{{ arm }}' and y is not null) as double), 0E0)
                    as {{ arm }}_{{ name }}{{ ',' if not loop.last }}
                {%- endfor %}{{ ',' if not loop.last }}
                {%- endfor %}
            from (
                select
                    {{ by }},
                    arm,
                    centre,
                    scale,
                    covariate_scale,
                    coalesce(value_deviation / nullif(scale, 0E0), 0E0 * value_deviation) as y,
                    coalesce(covariate_deviation / nullif(covariate_scale, 0E0), 0E0) as x
                from (
                    select
                        deviations.*,
                        max(abs(value_deviation)) over (partition by {{ by }}) as scale,
                        max(abs(covariate_deviation)) over (partition by {{ by }}) as covariate_scale
                    from (
                        select
                            finite.*,
                            avg({{ exact('finite_value') }}) over (partition by {{ by }}) as centre,
                            finite_value - centre as value_deviation,
                            finite_covariate
                                - avg({{ exact('finite_covariate') }}) over (partition by {{ by }})
                                as covariate_deviation
                        from (
                            select
                                {{ by }},
                                arm,
                                case when isfinite(unit_value) then unit_value end as finite_value,
                                case when isfinite(unit_covariate) then unit_covariate end as finite_covariate
                            from {{ units }}
                        ) as finite
                    ) as deviations
                ) as scaled
            ) as parts
            group by {{ by }}
        ) as sums
    ) as arms
    ) as moments
{%- endmacro %}

{# The square root of what is 0 or more but for rounding. NULL for NULL: greatest() alone would make it 0. -#}
{% macro root(variance) -%}
    case when {{ variance }} is not null then sqrt(greatest(0E0, {{ variance }})) end
{%- endmacro %}
