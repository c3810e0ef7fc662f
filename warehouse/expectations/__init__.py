"""Great Expectations at the borders between Python and the warehouse: one module per border.

Each border has one public function that judges rows where they are and records the judgement.
Importing this package does not import Great Expectations.
"""

from warehouse.expectations.context import build_data_docs
from warehouse.expectations.engine import ExpectationRefused
from warehouse.expectations.judgement import JudgementFailed
from warehouse.expectations.predictions import judge_predictions
from warehouse.expectations.scoring_set import judge_scoring_set
from warehouse.expectations.training_set import judge_training_set

__all__ = [
    "ExpectationRefused",
    "JudgementFailed",
    "build_data_docs",
    "judge_predictions",
    "judge_scoring_set",
    "judge_training_set",
]
