"""Events: what the policy wants or did, told to whoever listens to Prefect.

`prefect.yaml` holds the automations that answer: a wanted retraining starts the task's training
deployment. An event repeats a row and decides nothing.
"""

from __future__ import annotations

from typing import Any

from prefect import get_run_logger, runtime
from prefect.events import emit_event

from flows.run import Run

__all__ = ["announce_rollback", "announce_training", "is_left_to_automation", "wanted_training"]

RETRAIN_WANTED = "weighhouse.retrain.wanted"
ROLLBACK_APPLIED = "weighhouse.rollback.applied"

FIRING = """
    select signal, sentence from decisions.decide_signals
    where task = $task and as_of_date = $as_of_date and action = $action and is_firing
    order by signal
"""


def wanted_training(run: Run) -> str | None:
    """Return the reason codes of a training that the period asks for and does not have yet.

    Any version later than those that the period knew of is the answer: two days that ask before
    the training of the first has run get one version.
    """
    wanted = run.rows(
        """
        select array_to_string(reason_codes, ', ') as reason
        from decisions.decide_retrain as decided
        where task = $task and as_of_date = $as_of_date and verdict = 'retrain'
            and not exists (
                select 1 from recorded.model_versions
                where task = $task and cut_off_date > decided.newest_cut_off_date
            )
        """
    )
    return wanted[0]["reason"] if wanted else None


def is_left_to_automation() -> bool:
    """Tell whether this run is the deployed flow `daily`, whose trainings an automation starts.

    A run without a deployment has no automation to rely on, and a replay would be over before the
    one writer of the pool were free for it: both train by themselves.
    """
    return runtime.deployment.id is not None and runtime.flow_run.flow_name == "daily"


def announce_training(run: Run, reason: str, *, is_left: bool) -> None:
    """Emit `weighhouse.retrain.wanted`; its label `weighhouse.training` says who trains."""
    _emit(
        run,
        RETRAIN_WANTED,
        action="retrain",
        labels={"weighhouse.training": "automation" if is_left else "run"},
        reason=reason,
    )


def announce_rollback(run: Run, model_version: int, reason: str) -> None:
    """Emit `weighhouse.rollback.applied`, for people to hook on."""
    _emit(
        run,
        ROLLBACK_APPLIED,
        action="rollback",
        labels={},
        reason=reason,
        model_version=model_version,
    )


def _emit(run: Run, event: str, *, action: str, labels: dict[str, str], **facts: Any) -> None:  # noqa: ANN401
    resource = {
        "prefect.resource.id": f"weighhouse.task.{run.task.name}",
        "prefect.resource.name": run.task.name,
        "weighhouse.task": run.task.name,
        **labels,
    }
    payload = {
        "task": run.task.name,
        "as_of_date": run.as_of_date.isoformat(),
        **facts,
        "signals": {row["signal"]: row["sentence"] for row in run.rows(FIRING, action=action)},
    }
    emit_event(event=event, resource=resource, payload=payload)
    get_run_logger().info("event %s of %s at %s", event, run.task.name, run.as_of_date)
