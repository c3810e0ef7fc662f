{{ champion_predictions('temperature_change') }}
