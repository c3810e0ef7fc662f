{{ scoring_set(ref('feat_flight', v=1)) }}
