{# The names of the policy's rules: column of task_policy -> [SQL type, least, greatest accepted value].
   An integer rule accepts whole numbers only. The data test policy_is_sound refuses every other value. -#}
{% macro policy_rules() %}
    {{ return({
        'alpha': ['double', 0.0001, 0.5],
        'planned_looks': ['integer', 0, 1000],
        'first_look_windows': ['integer', 2, 1000],
        'windows_per_look': ['integer', 1, 1000],
        'planned_effect_share': ['double', 0.000001, 1],
        'trial_days': ['integer', 1, 36500],
        'min_cluster_count': ['integer', 2, 1000000000],
        'min_row_count': ['integer', 1, 1000000000],
        'min_slice_row_count': ['integer', 1, 1000000000],
        'slice_margin_share': ['double', 0, 1],
        'min_coverage_share': ['double', 0, 1],
        'calibration_margin_sd': ['double', 0, 10],
        'rollback_margin_share': ['double', 0, 1],
        'cool_down_days': ['integer', 0, 36500],
        'freeze_rollback_count': ['integer', 1, 1000],
        'freeze_days': ['integer', 1, 36500],
        'predecessor_days': ['integer', 0, 36500],
        'retrain_after_days': ['integer', 1, 36500],
        'decay_windows': ['integer', 1, 1000],
        'decay_margin_share': ['double', 0, 1],
        'min_drifted_importance_share': ['double', 0.0001, 1],
        'rollout_stage_periods': ['integer', 1, 1000],
        'rollout_max_days': ['integer', 1, 36500],
        'sample_ratio_alpha': ['double', 0.0000001, 0.5],
    }) }}
{% endmacro %}
