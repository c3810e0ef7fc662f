"""Table to table against the pipeline's own predict on an array in memory, side by side.

    python -m benchmarks.scoring_throughput --rows 1000000

Both score the same rows with the same pipeline of this project: gradient boosting of 100 trees x 31
leaves on 20 features. "Array in memory" is one call of its predict on an Arrow table, with all the
threads it likes. "Table to table" is all of `write_partition`: columns, keys and fingerprint of the
scoring set are checked, rows streamed out, scored, checked and streamed back, the manifest written
and read back.
"""

import argparse
import os
import statistics
import tempfile
import time
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.pipeline import Pipeline

from models_ml.pipelines import build_pipeline
from models_ml.scoring import predict, scorer
from warehouse.connection import open_warehouse
from warehouse.writing import Partition, create_predictions_table, write_partition

FEATURES = [f"feature_{number}" for number in range(20)]
AS_OF = date(2017, 1, 1)
TASK: Any = SimpleNamespace(name="benchmark", kind="regression")  # all that the scorer reads


def fitted() -> Pipeline:
    """Return the pipeline that is measured, fitted on rows like those of `scoring_set`."""
    random = np.random.default_rng(20170101)
    rows = random.normal(size=(20_000, len(FEATURES)))
    target = rows[:, 0] * rows[:, 1] + np.sin(3 * rows[:, 2]) + 0.1 * random.normal(size=len(rows))
    pipeline = build_pipeline(
        "hist_gradient_boosting",
        "regression",
        columns=FEATURES,
        column_kinds=["numeric"] * len(FEATURES),
        hyperparameters={
            "loss": "squared_error",
            "learning_rate": 0.1,
            "max_leaf_nodes": 31,
            "max_iter": 100,
        },
        seed=0,
    )
    return pipeline.fit(arrow(rows), target)


def arrow(rows: np.ndarray) -> pa.Table:
    """Return features as the Arrow table that the project's pipelines take."""
    return pa.table({name: rows[:, number] for number, name in enumerate(FEATURES)})


def scoring_set(row_count: int) -> np.ndarray:
    """Return the features of the rows to score, shape (row_count, 20)."""
    return np.random.default_rng(row_count).normal(size=(row_count, len(FEATURES)))


def measure(row_count: int, repeats: int) -> None:
    """Measure both, alternating, and print medians and their ratio."""
    pipeline = fitted()
    in_memory = scoring_set(row_count)
    arrow_in_memory = arrow(in_memory)
    seconds: dict[str, list[float]] = {"array in memory": [], "table to table": []}
    with open_warehouse() as connection:
        columns = {name: in_memory[:, number] for number, name in enumerate(FEATURES)}
        arriving = pa.table({"entity_id": np.arange(row_count), **columns})
        connection.register("arriving", arriving)
        connection.execute("create schema scoring_sets")
        connection.execute(
            f"create table scoring_sets.score_benchmark as "
            f"select *, date '{AS_OF}' as as_of_date from arriving"
        )
        connection.unregister("arriving")
        connection.execute("checkpoint")
        create_predictions_table(connection, "benchmark", {"entity_id": "bigint"}, "regression")
        for repeat in range(repeats):
            started = time.perf_counter()
            expected = predict(pipeline, "regression", arrow_in_memory)
            seconds["array in memory"].append(time.perf_counter() - started)

            started = time.perf_counter()
            write_partition(
                connection,
                Partition("benchmark", 1, "champion", AS_OF),
                scoring_relation="scoring_sets.score_benchmark",
                entity_key=["entity_id"],
                kind="regression",
                feature_columns=FEATURES,
                score=scorer(pipeline, TASK, FEATURES),
                engine="python",
                model_sha256=f"repeat {repeat}",
            )
            seconds["table to table"].append(time.perf_counter() - started)
        written = connection.execute(
            "select score from recorded.predictions_benchmark order by entity_id"
        ).to_arrow_table()
    assert np.array_equal(written["score"].to_numpy(), expected), "the scores differ"
    size = f"{row_count:,} rows x {len(FEATURES)} features"
    print(f"{size}, median of {repeats}, {os.cpu_count()} cores")
    print(f"{'':<18}{'seconds':>10}{'rows/s':>14}{'ratio':>8}")
    base = statistics.median(seconds["array in memory"])
    for name, runs in seconds.items():
        median = statistics.median(runs)
        print(f"{name:<18}{median:>10.2f}{row_count / median:>14,.0f}{median / base:>8.2f}")


def main() -> None:
    """Read the arguments and measure in a state folder of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["WEIGHHOUSE_HOME"] = folder
        measure(arguments.rows, arguments.repeats)


if __name__ == "__main__":
    main()
