{{ outcomes(
    'flight_delay',
    predictions=ref('pred_flight_delay_all_versions'),
    labels=ref('label_flight_arrival_delay'),
    scoring_set=ref('score_flight_delay', v=1),
) }}
