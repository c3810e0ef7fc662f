{# The names of the policy's rules: column of task_policy -> SQL type. -#}
{% macro policy_rules() %}
    {{ return({
        'alpha': 'double',
        'planned_looks': 'integer',
        'first_look_windows': 'integer',
        'windows_per_look': 'integer',
        'min_cluster_count': 'integer',
        'min_row_count': 'integer',
        'min_slice_row_count': 'integer',
        'slice_margin_share': 'double',
        'min_coverage_share': 'double',
        'calibration_margin_sd': 'double',
        'rollback_margin_share': 'double',
        'cool_down_days': 'integer',
        'freeze_rollback_count': 'integer',
        'freeze_days': 'integer',
        'predecessor_days': 'integer',
        'retrain_after_days': 'integer',
        'decay_windows': 'integer',
        'decay_margin_share': 'double',
        'min_importance_share': 'double',
    }) }}
{% endmacro %}
