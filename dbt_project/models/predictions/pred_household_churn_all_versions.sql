{{ all_predictions('household_churn') }}
