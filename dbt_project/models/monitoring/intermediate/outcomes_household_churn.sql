{{ outcomes(
    'household_churn',
    predictions=ref('pred_household_churn_all_versions'),
    labels=ref('label_household_churned'),
    scoring_set=ref('score_household_churn', v=1),
) }}
