"""Evidently's and NannyML's verdicts on the same windows, each by its own defaults.

Runs as a script in a throw-away environment that holds those packages (`peers.txt`) and nothing of
this project: `python peers.py FOLDER` reads the parquet files that `drift.py` left there, and
writes `peers.json`.
"""

import json
import sys
import warnings
from pathlib import Path

import nannyml
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.metrics import ValueDrift
from evidently.presets import DataDriftPreset

SAME_BINS = ("psi", "jensenshannon")


def evidently_alarms(reference: pd.DataFrame, window: pd.DataFrame) -> dict[str, bool]:
    """Return Evidently's default verdict on each column: its test, its threshold."""
    definition = _definition(reference)
    report = Report([DataDriftPreset()]).run(
        Dataset.from_pandas(window, definition), Dataset.from_pandas(reference, definition)
    )
    alarms = {}
    for metric in report.dict()["metrics"]:
        config = metric["config"]
        if config["type"].endswith("ValueDrift"):
            value, threshold = float(metric["value"]), config["threshold"]
            is_p_value = "p_value" in metric["metric_name"]
            alarms[config["column"]] = value < threshold if is_p_value else value >= threshold
    return alarms


def evidently_statistics(reference: pd.DataFrame, window: pd.DataFrame) -> dict[str, dict]:
    """Return Evidently's statistics of columns that hold bins as categories."""
    definition = DataDefinition(categorical_columns=list(reference.columns))
    wanted = [ValueDrift(column=name, method=how) for name in reference for how in SAME_BINS]
    report = Report(wanted).run(
        Dataset.from_pandas(window, definition), Dataset.from_pandas(reference, definition)
    )
    found: dict[str, dict] = {}
    for metric in report.dict()["metrics"]:
        config = metric["config"]
        found.setdefault(config["column"], {})[config["method"]] = float(metric["value"])
    return found


def nannyml_statistics(reference: pd.DataFrame, window: pd.DataFrame) -> dict[str, dict]:
    """Return NannyML's statistics of columns that hold bins as categories."""
    methods = ["jensen_shannon", "hellinger", "l_infinity"]
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(reference.columns),
        treat_as_categorical=list(reference.columns),
        categorical_methods=methods,
        chunk_number=1,
    )
    result = calculator.fit(reference).calculate(window).filter(period="analysis").to_df()
    return {
        name: {how: float(result[(name, how, "value")].iloc[0]) for how in methods}
        for name in reference
    }


def nannyml_alarms(reference: pd.DataFrame, windows: pd.DataFrame, size: int) -> list[dict]:
    """Return NannyML's default verdict on each column of each window of `size` rows."""
    calculator = nannyml.UnivariateDriftCalculator(
        column_names=list(reference.columns), chunk_size=size
    )
    result = calculator.fit(reference).calculate(windows).filter(period="analysis").to_df()
    return [
        {name: bool(row[(name, "jensen_shannon", "alert")]) for name in reference}
        for _, row in result.iterrows()
    ]


def _definition(frame: pd.DataFrame) -> DataDefinition:
    numbers = frame.select_dtypes("number").columns.tolist()
    return DataDefinition(
        numerical_columns=numbers,
        categorical_columns=[name for name in frame if name not in numbers],
    )


def main(folder: Path) -> None:
    """Judge every case in `folder`: `<case>.reference.parquet` and `<case>.windows.parquet`."""
    judged: dict[str, list[dict]] = {}
    for file in sorted(folder.glob("*.reference.parquet")):
        case = file.name.removesuffix(".reference.parquet")
        reference = pd.read_parquet(file)
        windows = pd.read_parquet(folder / f"{case}.windows.parquet")
        groups = [group.drop(columns="window") for _, group in windows.groupby("window")]
        if case.startswith("bins"):
            judged[case] = [
                {
                    "evidently": evidently_statistics(reference, group),
                    "nannyml": nannyml_statistics(reference, group),
                }
                for group in groups
            ]
        else:
            chunks = nannyml_alarms(reference, windows.drop(columns="window"), len(groups[0]))
            judged[case] = [
                {"evidently": evidently_alarms(reference, group), "nannyml": chunk}
                for group, chunk in zip(groups, chunks, strict=True)
            ]
        print(f"{case}: {len(groups)} windows", flush=True)
    (folder / "peers.json").write_text(json.dumps(judged))


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    main(Path(sys.argv[1]))
