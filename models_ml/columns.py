"""The columns of a task's training and scoring sets, as their SQL models document them.

This module checks the declaration against the columns and the columns against each other. It reads
dbt's nodes only; whether the warehouse has these columns is checked where rows are read.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

from pydantic import BaseModel, ConfigDict

from models_ml.declaration import Declaration
from models_ml.errors import TaskDeclarationError

__all__ = [
    "Column",
    "FeatureVersion",
    "check_label",
    "check_online",
    "declaring_file",
    "documented_columns",
    "feature_version",
]

NUMERIC_TYPES = (
    "tinyint", "smallint", "integer", "int", "bigint", "hugeint",
    "real", "float", "double", "decimal", "numeric",
)  # fmt: skip
CATEGORICAL_TYPES = ("varchar", "string", "text")
BOOLEAN_TYPES = ("boolean", "bool")

SCORING_CONTEXT = ("as_of_date", "features_known_at")
TRAINING_CONTEXT = ("as_of_date", "features_known_at", "label_known_at")
RESERVED_FEATURES = ("score", "prediction", "model_version", "role", "known_at")


class Column(BaseModel):
    """A documented column and its type in the warehouse."""

    model_config = ConfigDict(frozen=True)

    name: str
    data_type: str

    @property
    def kind(self) -> str:
        """``numeric``, ``categorical``, ``boolean``, or ``other`` (dates, lists, ...)."""
        base = self.data_type.lower().split("(")[0].strip()
        if self.data_type.rstrip().endswith("]"):
            return "other"
        for kind, types in (
            ("numeric", NUMERIC_TYPES),
            ("categorical", CATEGORICAL_TYPES),
            ("boolean", BOOLEAN_TYPES),
        ):
            if base in types:
                return kind
        return "other"


class FeatureVersion(BaseModel):
    """One version of the features as a task sees it: two relations and the columns between them."""

    model_config = ConfigDict(frozen=True)

    available_from: date
    training_relation: str  # training_sets.train_<task>_v<version>
    scoring_relation: str  # scoring_sets.score_<task>_v<version>
    features: tuple[Column, ...]  # in the order the pipeline takes them
    training_columns: tuple[str, ...]  # of the training relation, in order


def feature_version(
    path: str,
    declaration: Declaration,
    version: int,
    train: Mapping[str, Any],
    score: Mapping[str, Any],
) -> FeatureVersion:
    """Check one version's training and scoring set against the declaration and each other.

    Parameters
    ----------
    path : str
        The file that errors name.
    declaration : Declaration
    version : int
        Version of the features.
    train, score : mapping
        dbt's nodes of ``train_<task>`` and ``score_<task>``.

    Raises
    ------
    TaskDeclarationError
        A named column does not exist, the label is a feature, a feature has a reserved name or a
        type that cannot be learned from, or the two sets differ.
    """
    trained, scored = documented_columns(train), documented_columns(score)
    train_name, score_name = _relation(train), _relation(score)
    label = declaration.label.column
    key = declaration.entity_key
    named = {
        "entity_key": (key, scored, score_name),
        "label.column": ((label,), trained, train_name),
        "features.exclude": (declaration.features.exclude, scored, score_name),
        "slices": (declaration.slices, scored, score_name),
        "cluster_by": (declaration.cluster_by, scored, score_name),
        "online.covariate": (_covariate(declaration), scored, score_name),
        "columns": (SCORING_CONTEXT, scored, score_name),
        "columns, too": ((*key, *TRAINING_CONTEXT), trained, train_name),
    }
    for field, (names, columns, relation) in named.items():
        for name in names:
            if name not in columns:
                raise TaskDeclarationError(
                    f"{path}: {field} names {name!r}, which is no column of {relation}; its "
                    f"documented columns are: {', '.join(columns) or 'none'}"
                )
    if label in scored:
        raise TaskDeclarationError(
            f"{path}: label.column {label!r} is also a column of {score_name}, so it would be a "
            "feature that knows the answer; take it out of the scoring set"
        )
    in_training = [name for name in trained if name not in (*key, *TRAINING_CONTEXT, label)]
    in_scoring = [name for name in scored if name not in (*key, *SCORING_CONTEXT)]
    if in_training != in_scoring:
        raise TaskDeclarationError(
            f"{path}: {train_name} and {score_name} differ: "
            f"{_difference(in_training, in_scoring)}; "
            "give both the same columns in the same order"
        )
    features = tuple(
        scored[name] for name in in_scoring if name not in declaration.features.exclude
    )
    _check_features(path, score_name, features)
    return FeatureVersion(
        available_from=declaration.features.versions[version],
        training_relation=train_name,
        scoring_relation=score_name,
        features=features,
        training_columns=tuple(trained),
    )


def _covariate(declaration: Declaration) -> tuple[str, ...]:
    return (declaration.online.covariate,) if declaration.online else ()


def check_online(
    path: str, declaration: Declaration, scored: Mapping[str, Column], outcomes: Mapping[str, Any]
) -> None:
    """Refuse an online outcome that its table does not document, or that is not a number.

    Parameters
    ----------
    path : str
        The file that errors name.
    declaration : Declaration
    scored : mapping of str to Column
        The documented columns of the scoring set.
    outcomes : mapping
        dbt's nodes by name of SQL model, of those in the schema ``labels``.

    Raises
    ------
    TaskDeclarationError
        There is no such table, it lacks a column, or a column is not numeric.
    """
    online = declaration.online
    if online is None:
        return
    table = online.outcome.table
    if table not in outcomes:
        raise TaskDeclarationError(
            f"{path}: online.outcome.table is {table!r}; the SQL models in labels are: "
            f"{', '.join(sorted(outcomes)) or 'none'}"
        )
    columns = documented_columns(outcomes[table])
    needed = {
        "entity_key": (*declaration.entity_key, "as_of_date", "known_at"),
        "online.outcome.column": (online.outcome.column,),
        "online.guardrails.column": tuple(guardrail.column for guardrail in online.guardrails),
    }
    for field, names in needed.items():
        for name in names:
            if name not in columns:
                raise TaskDeclarationError(
                    f"{path}: {field} needs {name!r} in {table}; its documented columns are: "
                    f"{', '.join(columns) or 'none'}"
                )
            if field != "entity_key" and columns[name].kind != "numeric":
                raise TaskDeclarationError(
                    f"{path}: {field} {name!r} of {table} has data_type "
                    f"{columns[name].data_type!r}; what arms are compared in is numeric"
                )
    covariate = scored[online.covariate]
    if covariate.kind not in ("numeric", "boolean"):
        raise TaskDeclarationError(
            f"{path}: online.covariate {covariate.name!r} has data_type {covariate.data_type!r}; "
            "a covariate is numeric or boolean"
        )


def _check_features(path: str, relation: str, features: tuple[Column, ...]) -> None:
    if not features:
        raise TaskDeclarationError(
            f"{path}: features.exclude leaves no feature in {relation}; keep at least one"
        )
    for column in features:
        if column.name in RESERVED_FEATURES:
            raise TaskDeclarationError(
                f"{path}: {relation} has a feature called {column.name!r}, a name that predictions "
                f"use; rename it (reserved: {', '.join(RESERVED_FEATURES)})"
            )
        if column.kind == "other":
            raise TaskDeclarationError(
                f"{path}: feature {column.name!r} of {relation} has data_type "
                f"{column.data_type!r}; a feature is numeric, boolean or varchar: turn it into "
                "one, or add it to features.exclude"
            )


def check_label(path: str, declaration: Declaration, trained: Mapping[str, Column]) -> None:
    """Refuse a label of a type that the kind cannot learn."""
    column = trained[declaration.label.column]
    accepted = {
        "binary": ("boolean", "numeric"),
        "regression": ("numeric",),
        "multiclass": ("categorical", "numeric"),
    }[declaration.kind]
    if column.kind not in accepted:
        raise TaskDeclarationError(
            f"{path}: label.column {column.name!r} has data_type {column.data_type!r}; the label "
            f"of a {declaration.kind} task is {' or '.join(accepted)}"
        )


def _difference(in_training: list[str], in_scoring: list[str]) -> str:
    only_training = [name for name in in_training if name not in in_scoring]
    only_scoring = [name for name in in_scoring if name not in in_training]
    if only_training or only_scoring:
        return (
            f"only the training set has {', '.join(only_training) or 'nothing'}, "
            f"only the scoring set has {', '.join(only_scoring) or 'nothing'}"
        )
    place = next(i for i, name in enumerate(in_training) if name != in_scoring[i])
    return f"the order parts at {in_training[place]!r} against {in_scoring[place]!r}"


def documented_columns(node: Mapping[str, Any]) -> dict[str, Column]:
    """Return the documented columns of a node, in order; refuse one without a data_type."""
    columns = {}
    for column in node["columns"].values():
        if not column.get("data_type"):
            raise TaskDeclarationError(
                f"{declaring_file(node)}: column {column['name']!r} of {node['name']} "
                "has no data_type; write the type it has in the warehouse"
            )
        columns[column["name"]] = Column(name=column["name"], data_type=column["data_type"])
    return columns


def _relation(node: Mapping[str, Any]) -> str:
    return f"{node['schema']}.{node['alias']}"


def declaring_file(node: Mapping[str, Any]) -> str:
    """Return the file of a node: its YAML, or its SQL when it has no YAML."""
    return str(node.get("patch_path") or node["original_file_path"]).split("://")[-1]
