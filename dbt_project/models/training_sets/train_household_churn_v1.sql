{{ training_set(ref('feat_household', v=1), ref('label_household_churned'), 'is_churned') }}
