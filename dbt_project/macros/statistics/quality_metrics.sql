{#  The metrics of mon_quality: which kinds of task have them, and their expressions over the columns
    of its CTE `figures`. Where no simple standard error exists it is NULL. -#}

{% macro quality_metrics() %}
    {{ return([
        {'name': 'log_loss', 'kinds': ['binary', 'multiclass'],
         'value': 'log_loss', 'standard_error': 'log_loss_standard_error'},
        {'name': 'brier_score', 'kinds': ['binary', 'multiclass'],
         'value': 'brier_score', 'standard_error': 'brier_score_standard_error'},
        {'name': 'roc_auc', 'kinds': ['binary'],
         'value': 'roc_auc', 'standard_error': 'roc_auc_standard_error'},
        {'name': 'average_precision', 'kinds': ['binary'],
         'value': 'average_precision', 'standard_error': 'cast(null as double)'},
        {'name': 'ece', 'kinds': ['binary'],
         'value': 'ece', 'standard_error': 'cast(null as double)'},
        {'name': 'calibration_gap', 'kinds': ['binary'],
         'value': '-mean_error', 'standard_error': 'mean_error_standard_error'},
        {'name': 'spiegelhalter_z', 'kinds': ['binary'],
         'value': 'spiegelhalter_z', 'standard_error': 'cast(null as double)'},
        {'name': 'absolute_error', 'kinds': ['regression'],
         'value': 'absolute_error', 'standard_error': 'absolute_error_standard_error'},
        {'name': 'squared_error', 'kinds': ['regression'],
         'value': 'squared_error', 'standard_error': 'squared_error_standard_error'},
        {'name': 'rmse', 'kinds': ['regression'],
         'value': 'sqrt(squared_error)',
         'standard_error': 'squared_error_standard_error / nullif(2e0 * sqrt(squared_error), 0)'},
        {'name': 'r2', 'kinds': ['regression'],
         'value': 'r2', 'standard_error': 'cast(null as double)'},
        {'name': 'bias', 'kinds': ['regression'],
         'value': 'mean_error', 'standard_error': 'mean_error_standard_error'},
        {'name': 'error_rate', 'kinds': ['multiclass'],
         'value': 'error_rate', 'standard_error': 'error_rate_standard_error'},
    ]) }}
{% endmacro %}
