{{ served_predictions('household_churn', ref('rollout_stages')) }}
