{{ scoring_set(ref('feat_weather_hour', v=1)) }}
