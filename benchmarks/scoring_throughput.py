"""Table to table against the pipeline's own predict on an array in memory, side by side.

    python -m benchmarks.scoring_throughput --rows 1000000

Both score the same rows with the same gradient boosting of 100 trees x 31 leaves on 20 features.
"Table to table" is all of `write_partition`: columns, keys and fingerprint of the scoring set are
checked, rows streamed out, scored, checked and streamed back, the manifest written and read back.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date

import numpy as np
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingRegressor

from warehouse.connection import open_warehouse
from warehouse.writing import Partition, create_predictions_table, write_partition

BLOCK_ROWS = 16_384  # as models_ml/scoring.py: the rows of a block stay in the cache
FEATURES = [f"feature_{number}" for number in range(20)]
AS_OF = date(2017, 1, 1)


def fitted() -> HistGradientBoostingRegressor:
    """Return the pipeline that is measured, fitted on rows like those of `scoring_set`."""
    random = np.random.default_rng(20170101)
    rows = random.normal(size=(20_000, len(FEATURES)))
    target = rows[:, 0] * rows[:, 1] + np.sin(3 * rows[:, 2]) + 0.1 * random.normal(size=len(rows))
    boosting = HistGradientBoostingRegressor(max_iter=100, max_leaf_nodes=31, random_state=0)
    return boosting.fit(rows, target)


def scoring_set(row_count: int) -> np.ndarray:
    """Return the features of the rows to score, shape (row_count, 20)."""
    return np.random.default_rng(row_count).normal(size=(row_count, len(FEATURES)))


def scorer(
    pipeline: HistGradientBoostingRegressor,
) -> Callable[[pa.RecordBatch], dict[str, pa.Array]]:
    """Return a function from a record batch of features to its scores."""

    def score(batch: pa.RecordBatch) -> dict[str, pa.Array]:
        scores = []
        for start in range(0, batch.num_rows, BLOCK_ROWS):
            block = batch.slice(start, BLOCK_ROWS)
            features = np.column_stack([column.to_numpy() for column in block.columns])
            scores.append(pipeline.predict(features))
        return {"score": pa.array(np.concatenate(scores))}

    return score


def measure(row_count: int, repeats: int) -> None:
    """Measure both, alternating, and print medians and their ratio."""
    pipeline = fitted()
    in_memory = scoring_set(row_count)
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
            expected = pipeline.predict(in_memory)
            seconds["array in memory"].append(time.perf_counter() - started)

            started = time.perf_counter()
            write_partition(
                connection,
                Partition("benchmark", 1, "champion", AS_OF),
                scoring_relation="scoring_sets.score_benchmark",
                entity_key=["entity_id"],
                kind="regression",
                feature_columns=FEATURES,
                score=scorer(pipeline),
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
