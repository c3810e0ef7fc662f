{{ champion_predictions('flight_delay') }}
