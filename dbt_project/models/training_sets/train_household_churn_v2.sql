{{ training_set(ref('feat_household', v=2), ref('label_household_churned'), 'is_churned') }}
