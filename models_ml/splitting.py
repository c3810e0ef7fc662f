"""The time-ordered split of training rows, with an embargo of one horizon between its parts.

Nothing is random: a row is fitted on only when its outcome had happened before the first row that
judges it was predicted.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from models_ml.errors import TrainingRefused
from models_ml.tasks import Task

__all__ = ["DateSplit", "split_dates"]


@dataclass(frozen=True)
class DateSplit:
    """The as_of_dates of each part, in order.

    The candidates learn on ``fit`` and are compared on ``tune``; the winner learns again on
    ``refit`` (which holds ``fit``, ``tune`` and the embargo between them) and is judged on
    ``holdout``, which it never saw.
    """

    fit: tuple[date, ...]
    tune: tuple[date, ...]
    refit: tuple[date, ...]
    holdout: tuple[date, ...]


def split_dates(task: Task, dates: Iterable[date], cut_off_date: date) -> DateSplit:
    """Split the as_of_dates of the training rows.

    Parameters
    ----------
    task : Task
        Gives the horizon and the numbers of tune and holdout periods.
    dates : iterable of date
        The as_of_dates that have rows; repeated ones count once.
    cut_off_date : date
        Only for the error's text.

    Raises
    ------
    TrainingRefused
        There are too few as_of_dates; names the first cut-off that has enough of them.
    """
    known = sorted(set(dates))
    split = _split(task, known)
    if split is None:
        wanted = task.split
        raise TrainingRefused(
            f"train_{task.name} has {len(known)} as_of_dates with mature labels at {cut_off_date}"
            f"{f' ({known[0]} to {known[-1]})' if known else ''}; {wanted.holdout_periods} holdout "
            f"and {wanted.tune_periods} tune periods with {task.horizon_days} days between the "
            f"parts need more: the first possible cut-off is {_first_cut_off(task, known)}, or "
            f"declare fewer periods in {task.declared_in}"
        )
    return split


def _split(task: Task, known: list[date]) -> DateSplit | None:
    horizon = timedelta(days=task.horizon_days)
    holdout = known[-task.split.holdout_periods :]
    if len(holdout) < task.split.holdout_periods:
        return None
    refit = [day for day in known if day + horizon <= holdout[0]]
    tune = refit[-task.split.tune_periods :]
    if len(tune) < task.split.tune_periods:
        return None
    fit = [day for day in refit if day + horizon <= tune[0]]
    return DateSplit(tuple(fit), tuple(tune), tuple(refit), tuple(holdout)) if fit else None


def _first_cut_off(task: Task, known: list[date]) -> date:
    """Walk the grid from the first as_of_date until a split of the matured ones succeeds."""
    first = known[0] if known else task.history_from
    periods = 1 + task.split.tune_periods + task.split.holdout_periods
    days = (periods * task.cadence_days) + 3 * (task.horizon_days + task.cadence_days)
    grid = task.as_of_dates(first, first + timedelta(days=days))
    horizon = timedelta(days=task.horizon_days)
    return next(
        cut_off
        for cut_off in grid
        if _split(task, [day for day in grid if day + horizon <= cut_off]) is not None
    )
