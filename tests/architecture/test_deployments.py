"""What prefect.yaml promises: every task that runs by itself is also trained by itself."""

from __future__ import annotations

from pathlib import Path

import yaml

PREFECT = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())


def of_flow(entrypoint: str) -> dict[str, dict]:
    return {
        deployment["name"]: deployment
        for deployment in PREFECT["deployments"]
        if deployment["entrypoint"] == entrypoint
    }


def test_each_task_with_a_daily_deployment_has_a_training_that_its_event_starts() -> None:
    trainings = of_flow("flows/train_challenger.py:train_challenger")
    for name, daily in of_flow("flows/daily.py:daily").items():
        task = daily["parameters"]["task_name"]
        (trigger,) = trainings[name]["triggers"]
        assert trigger["expect"] == ["weighhouse.retrain.wanted"]
        assert trigger["match"]["prefect.resource.id"] == f"weighhouse.task.{task}"
        assert trainings[name]["parameters"]["task_name"] == task
