{{ training_set(ref('feat_flight', v=1), ref('label_flight_arrival_delay'), 'arrival_delay_minutes') }}
