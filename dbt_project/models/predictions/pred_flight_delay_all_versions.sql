{{ all_predictions('flight_delay') }}
