{{ champion_predictions('household_churn') }}
