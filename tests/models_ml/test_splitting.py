from __future__ import annotations

from datetime import date, timedelta

import pytest
from task_manifests import CHURN, churn_manifest

from models_ml.errors import TrainingRefused
from models_ml.splitting import split_dates
from models_ml.tasks import load_task


def task_with(horizon_days, tune, holdout, cadence="weekly"):
    declared = churn_manifest()
    for node in declared["nodes"].values():
        if "task" in node["config"]["meta"]:
            node["config"]["meta"]["task"].update(
                label={**CHURN["label"], "horizon_days": horizon_days},
                split={"tune_periods": tune, "holdout_periods": holdout},
                cadence=cadence,
            )
    return load_task(declared, "household_churn")


def test_a_split_by_hand():
    task = task_with(28, 2, 4)
    dates = task.as_of_dates(date(2017, 2, 26), date(2017, 6, 4))  # 15 Sundays
    split = split_dates(task, [*dates, *dates], date(2017, 7, 2))
    # the last four Sundays
    assert split.holdout == tuple(dates[-4:])
    assert split.holdout[0] == date(2017, 5, 14)
    # 2017-04-16 + 28 days = 2017-05-14: the last whose outcome had ended
    assert split.refit[-1] == date(2017, 4, 16)
    assert split.tune == (date(2017, 4, 9), date(2017, 4, 16))
    # 2017-03-12 + 28 days = 2017-04-09
    assert split.fit == tuple(dates[:3])
    assert split.fit[-1] == date(2017, 3, 12)
    assert split.refit == tuple(dates[:8])


@pytest.mark.parametrize("cadence", ["daily", "weekly"])
@pytest.mark.parametrize("horizon", [1, 2, 7, 28, 30])
@pytest.mark.parametrize(("tune", "holdout"), [(1, 1), (2, 4), (5, 3)])
@pytest.mark.parametrize("is_gappy", [False, True])
def test_no_outcome_reaches_into_the_part_that_judges(cadence, horizon, tune, holdout, is_gappy):
    task = task_with(horizon, tune, holdout, cadence)
    dates = task.as_of_dates(date(2017, 2, 26), date(2018, 2, 25))
    if is_gappy:
        dates = [day for place, day in enumerate(dates) if place % 5 != 3]
    split = split_dates(task, dates, date(2018, 3, 4))
    embargo = timedelta(days=horizon)
    assert max(split.fit) + embargo <= min(split.tune)
    assert max(split.refit) + embargo <= min(split.holdout)
    assert set(split.fit) | set(split.tune) <= set(split.refit)
    assert (len(split.tune), len(split.holdout)) == (tune, holdout)
    # nothing is left out without need: the next date's outcome would reach in
    later = [day for day in dates if split.refit[-1] < day < split.holdout[0]]
    assert all(day + embargo > split.holdout[0] for day in later)


def test_too_few_dates_name_the_first_possible_cut_off_which_is_then_enough():
    task = task_with(28, 2, 4)
    grid = task.as_of_dates(date(2017, 2, 26), date(2017, 12, 31))

    def matured(cut_off):
        return [day for day in grid if day + timedelta(days=28) <= cut_off]

    with pytest.raises(TrainingRefused, match="first possible cut-off is 2017-06-18") as caught:
        split_dates(task, matured(date(2017, 6, 11)), date(2017, 6, 11))
    assert "has 12 as_of_dates with mature labels at 2017-06-11" in str(caught.value)
    assert split_dates(task, matured(date(2017, 6, 18)), date(2017, 6, 18)).fit == (grid[0],)
