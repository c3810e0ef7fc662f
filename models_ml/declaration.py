"""The form of a task's declaration: its fields, their accepted values, what must agree.

It knows nothing of dbt: ``models_ml.tasks`` reads the declaration and checks it against columns.
"""

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from models_ml.metrics import GUARDRAILS, PRIMARY_METRICS
from models_ml.pipelines import PIPELINES

__all__ = ["Declaration", "Guardrail", "Kind"]

Kind = Literal["binary", "regression", "multiclass"]
Cadence = Literal["daily", "weekly"]
Better = Literal["higher", "lower"]
SqlName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

SUNDAY = 6
CADENCE_DAYS: dict[str, int] = {"daily": 1, "weekly": 7}


class _Part(BaseModel):
    """A part of the declaration: unknown fields are refused, values cannot change later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Label(_Part):
    """The outcome: its SQL model, its column, and how many days until it is known.

    ``outcome_days`` says how many of these the outcome itself takes: predictions made closer
    together share some of them, and are not independent. Without it, all of them.
    """

    table: SqlName
    column: SqlName
    horizon_days: Annotated[int, Field(ge=1)]
    outcome_days: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _outcome_ends_within_the_horizon(self) -> "Label":
        if self.outcome_days is not None and self.outcome_days > self.horizon_days:
            raise ValueError(
                f"outcome_days is {self.outcome_days}, more than horizon_days {self.horizon_days}; "
                "a label is known when its outcome has ended"
            )
        return self


class Features(_Part):
    """The feature table, the date each version is available from, and columns to leave out."""

    table: SqlName
    versions: Annotated[dict[int, date], Field(min_length=1)]
    exclude: tuple[SqlName, ...] = ()


class Split(_Part):
    """How many as_of_dates choose the candidate, and how many after them judge it."""

    tune_periods: Annotated[int, Field(ge=1)]
    holdout_periods: Annotated[int, Field(ge=1)]


class Guardrail(_Part):
    """A metric that may become worse by at most the margin."""

    metric: str
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Replay(_Part):
    """The as_of_dates that a replay of the task walks through."""

    first_training: date
    last: date


class OnlineOutcome(_Part):
    """What acting on the scores is to make better: a column of a SQL model in labels."""

    table: SqlName
    column: SqlName
    horizon_days: Annotated[int, Field(ge=1)]
    better: Better


class OnlineGuardrail(_Part):
    """A column of the outcome's table that may become worse by at most the margin."""

    column: SqlName
    margin: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    better: Better


class Online(_Part):
    """How two versions are compared by what happens to the units they serve.

    With ``acting_changes_outcome`` a challenger that was proven better on labels has to prove it
    again in a rollout; without it only a rehearsal may run, the champion in both arms.
    """

    acting_changes_outcome: bool
    unit: Annotated[tuple[SqlName, ...], Field(min_length=1)]
    outcome: OnlineOutcome
    covariate: SqlName
    guardrails: tuple[OnlineGuardrail, ...] = ()
    rehearse_from: date | None = None

    @model_validator(mode="after")
    def _columns_are_named_once(self) -> "Online":
        columns = [self.outcome.column, *(guardrail.column for guardrail in self.guardrails)]
        for name, named in (("unit", list(self.unit)), ("outcome and guardrails", columns)):
            repeated = sorted({column for column in named if named.count(column) > 1})
            if repeated:
                raise ValueError(
                    f"{name} name {', '.join(repeated)} more than once; name each column once"
                )
        return self


class Declaration(_Part):
    """What ``config.meta.task`` says, field by field."""

    name: SqlName
    kind: Kind
    entity_key: Annotated[tuple[SqlName, ...], Field(min_length=1)]
    cadence: Cadence
    sources: Annotated[tuple[SqlName, ...], Field(min_length=1)]
    history_from: date
    label: Label
    features: Features
    pipelines: Annotated[tuple[str, ...], Field(min_length=1)]
    split: Split
    primary_metric: str
    guardrails: tuple[Guardrail, ...] = ()
    slices: tuple[SqlName, ...] = ()
    cluster_by: Annotated[tuple[SqlName, ...], Field(min_length=1)]
    replay: Replay
    online: Online | None = None

    @field_validator("entity_key", "pipelines", "slices", "cluster_by", "sources")
    @classmethod
    def _named_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{', '.join(repeated)} named more than once; name each once")
        return names

    @model_validator(mode="after")
    def _parts_agree(self) -> "Declaration":
        _accept("pipelines", self.pipelines, PIPELINES[self.kind], self.kind)
        _accept("primary_metric", (self.primary_metric,), PRIMARY_METRICS[self.kind], self.kind)
        guardrails = tuple(guardrail.metric for guardrail in self.guardrails)
        _accept("guardrails.metric", guardrails, GUARDRAILS[self.kind], self.kind)
        if len(set(guardrails)) < len(guardrails):
            named = ", ".join(guardrails)
            raise ValueError(f"guardrails names a metric twice ({named}); name it once")
        if self.replay.last < self.replay.first_training:
            raise ValueError(
                f"replay.last is {self.replay.last}, before replay.first_training "
                f"{self.replay.first_training}; give a later date"
            )
        self._check_unit()
        self._check_dates()
        return self

    def _check_unit(self) -> None:
        for column in self.online.unit if self.online else ():
            if column not in self.entity_key:
                raise ValueError(
                    f"online.unit names {column!r}; a unit is made of columns of the entity_key: "
                    f"{', '.join(self.entity_key)}"
                )

    def _check_dates(self) -> None:
        if self.cadence != "weekly":
            return
        dates = {
            "history_from": self.history_from,
            "replay.first_training": self.replay.first_training,
            "replay.last": self.replay.last,
        }
        if self.online and self.online.rehearse_from:
            dates["online.rehearse_from"] = self.online.rehearse_from
        for field, value in dates.items():
            if value.weekday() != SUNDAY:
                sunday = value + timedelta(days=(SUNDAY - value.weekday()) % 7)
                raise ValueError(
                    f"{field} is {value}, not a Sunday; a weekly task speaks on Sundays, "
                    f"the next one is {sunday}"
                )


def _accept(field: str, values: tuple[str, ...], accepted: tuple[str, ...], kind: str) -> None:
    for value in values:
        if value not in accepted:
            raise ValueError(
                f"{field} is {value!r}; a {kind} task accepts {', '.join(accepted) or 'none'}"
            )
