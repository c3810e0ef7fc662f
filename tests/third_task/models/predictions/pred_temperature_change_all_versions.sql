{{ all_predictions('temperature_change') }}
