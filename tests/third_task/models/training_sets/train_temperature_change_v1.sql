{{ training_set(ref('feat_weather_hour', v=1), ref('label_temperature_change'), 'temperature_change') }}
