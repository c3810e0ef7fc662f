{{ outcomes(
    'temperature_change',
    predictions=ref('pred_temperature_change_all_versions'),
    labels=ref('label_temperature_change'),
    scoring_set=ref('score_temperature_change', v=1),
) }}
