"""What the codes of the decision tables mean, in words for a person.

Owns the wording of verdicts, reason codes, roles and acts. It must not decide anything; a code that
is not listed here is shown as it stands.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

__all__ = ["CHECKS", "REASONS", "check", "day", "finding", "number", "reasons", "verdict"]

REASONS = {
    # decide_champion
    "between_looks": "it is not yet time for the next look",
    "challenger_better": "the challenger is proven better, and every other check holds",
    "cool_down": "the last promotion is too recent",
    "first_version": "it is the first version, which has nobody to be compared with",
    "frozen": "promotions are frozen after repeated rollbacks, until a person lifts that",
    "guardrail_breached": "a guardrail is proven to be broken",
    "guardrail_not_proven": "a guardrail is not proven to be kept",
    "looks_used_up": "all planned looks are used up",
    "low_coverage": "too many rows have no label",
    "metric_missing": "a metric is missing",
    "metric_worse": "a metric is proven worse",
    "miscalibrated": "its scores are too far from what happened",
    "no_boundary": "there is no boundary for this look",
    "no_challenger": "there is no challenger",
    "no_standard_error": "the uncertainty cannot be computed",
    "not_proven_better": "the lead is not proven",
    "other_challenger_better": "another challenger leads",
    "parity_not_proven": "its scoring engine is not proved equal to the trained pipeline",
    "predecessor_not_better": "the version before it is not proven better",
    "primary_worse": "it is proven worse in the primary metric",
    "rollback_first": "a rollback comes first",
    "scoring_incomplete": "a version has not scored every row",
    "slice_missing": "a required slice has too few rows",
    "slice_worse": "it is worse on a slice",
    "too_few_clusters": "too few independent units",
    "too_few_rows": "too few rows",
    "too_few_windows": "too few windows have all their labels",
    "worse_than_baseline": "it is no better than a guess that ignores the features",
    "check_missing": "a check that the policy asks for was not made",
    # decide_rollout
    "arms_differ": "the arms differ although they hold the same version",
    "champion_changed": "the champion is no longer the control's version",
    "no_assigned_unit": "no unit has been assigned",
    "no_labelled_unit": "the outcome of no unit is known yet",
    "no_scored_unit": "no assigned unit has been scored",
    "outcome_not_mature": "outcomes are not known yet",
    "outcome_worse": "the outcome is proven worse",
    "sample_ratio_mismatch": "the arms are not as large as they should be",
    "scores_missing": "assigned units lack their score",
    "stage_not_mature": "this stage has not run long enough",
    "stage_passed": "this stage has passed without harm",
    "too_few_units": "too few units",
    "treatment_better": "the treatment is proven better",
    "undecided": "the time is up, and neither arm is proven better",
    "under_watch": "it is under watch",
    # decide_retrain, and why a version was trained
    "challenger_under_comparison": "a challenger is still under comparison",
    "domain_drift": "the features have moved together",
    "estimated_decay": "quality estimated without labels fell",
    "feature_drift": "an important feature has moved",
    "manual": "a person asked for it",
    "new_feature_version": "a new version of the features is available",
    "no_champion": "there is no champion",
    "no_signal": "nothing asks for it",
    "quality_decay": "realised quality fell",
    "quality_unknown": "realised quality is not known yet",
    "scheduled": "it is time by the schedule",
    "score_drift": "the scores have moved",
}

VERDICTS = {
    "promote": "promote",
    "rollback": "roll back",
    "hold": "hold: the champion stays",
    "no_decision": "no decision yet: the champion stays",
    "retrain": "train a new version",
    "advance": "advance to more units",
    "complete": "complete: promote the treatment",
    "abort": "abort: everyone gets the control",
}

CHECKS = {
    "primary": "Proven better in the primary metric",
    "guardrail": "Guardrail kept",
    "deterioration": "Not proven worse in a metric",
    "slice": "No worse on a slice",
    "calibration": "Scores fit what happened",
    "rollback_primary": "The predecessor is proven better in the primary metric",
    "rollback_guardrail": "The predecessor is proven better in a guardrail",
    "baseline": "Better than a guess that ignores the features",
    "row_count": "Enough rows",
    "cluster_count": "Enough independent units",
    "coverage": "Enough labels",
    "scoring": "Both versions scored every row",
    "parity_certificate": "Scoring engine proved equal to the trained pipeline",
}


def check(name: str) -> str:
    """Return what a check asks for, in words.

    >>> check("row_count")
    'Enough rows'
    """
    return CHECKS.get(name, name.replace("_", " "))


def finding(sentence: str) -> str:
    """Return a check's sentence without the verdict it begins with, which stands beside it.

    >>> finding("holds: coverage, 1, threshold 0.9")
    'coverage, 1, threshold 0.9'
    """
    opening, colon, rest = sentence.partition(": ")
    is_verdict = colon and opening.startswith(("holds", "does not hold", "not judged"))
    return rest if is_verdict else sentence


def reasons(codes: Iterable[str]) -> str:
    """Return reason codes in words.

    >>> reasons(["between_looks"])
    'it is not yet time for the next look'
    """
    return "; ".join(REASONS.get(code, code.replace("_", " ")) for code in codes)


def verdict(code: str) -> str:
    """Return a verdict in words.

    >>> verdict("hold")
    'hold: the champion stays'
    """
    return VERDICTS.get(code, code.replace("_", " "))


def day(value: date | None) -> str:
    """Return a date as people write it; without one, say that it is not known.

    >>> day(date(2017, 7, 2))
    '2 Jul 2017'
    """
    return f"{value.day} {value:%b %Y}" if value else "not yet known"


def number(value: float | None) -> str:
    """Return a number with four significant digits, or three thousands apart when it is a count.

    >>> number(0.2772694), number(28317), number(None)
    ('0.2773', '28,317', 'not known')
    """
    if value is None:
        return "not known"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
