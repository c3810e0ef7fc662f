{{ scoring_set(ref('feat_household', v=2)) }}
