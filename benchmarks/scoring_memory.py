"""Resident peak of `write_partition` at two sizes of scoring set, each in a process of its own.

    python -m benchmarks.scoring_memory --rows 1000000 5000000

The scoring set is made beforehand in another process, so that only the scoring counts. The pipeline
is that of `scoring_throughput`.
"""

import argparse
import os
import subprocess
import sys
import tempfile

from benchmarks.scoring_throughput import AS_OF, FEATURES, TASK, fitted
from models_ml.scoring import scorer
from warehouse.connection import open_warehouse
from warehouse.writing import Partition, create_predictions_table, write_partition


def prepare(row_count: int) -> None:
    """Make the scoring set and the empty predictions table."""
    with open_warehouse() as connection:
        columns = ", ".join(f"hash(row_id, {n}) / 1.8e19 as {f}" for n, f in enumerate(FEATURES))
        connection.execute("set memory_limit = '1GB'")
        connection.execute("create schema scoring_sets")
        connection.execute(
            f"create table scoring_sets.score_benchmark as select row_id as entity_id, "
            f"date '{AS_OF}' as as_of_date, {columns} from range({row_count}) as numbers(row_id)"
        )
        create_predictions_table(connection, "benchmark", {"entity_id": "bigint"}, "regression")


def write() -> None:
    """Score the prepared set and print peak bytes and seconds."""
    pipeline = fitted()
    with open_warehouse() as connection:
        run = write_partition(
            connection,
            Partition("benchmark", 1, "champion", AS_OF),
            scoring_relation="scoring_sets.score_benchmark",
            entity_key=["entity_id"],
            kind="regression",
            feature_columns=FEATURES,
            score=scorer(pipeline, TASK, FEATURES),
            engine="python",
            model_sha256="benchmark",
        )
    print(run.peak_memory_bytes, run.scoring_seconds)


def measured(row_count: int) -> tuple[int, float]:
    """Prepare and write in processes of their own; return peak bytes and seconds."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "WEIGHHOUSE_HOME": folder}
        here = [sys.executable, "-m", "benchmarks.scoring_memory"]
        subprocess.run([*here, "--prepare", str(row_count)], env=environment, check=True)
        done = subprocess.run(
            [*here, "--write"], env=environment, check=True, capture_output=True, text=True
        )
    peak, seconds = done.stdout.split()
    return int(peak), float(seconds)


def main() -> None:
    """Read the arguments; without an inner step, measure each size and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000])
    parser.add_argument("--prepare", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--write", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.prepare:
        prepare(arguments.prepare)
        return
    if arguments.write:
        write()
        return
    print(f"{'rows':>12}{'peak MB':>10}{'seconds':>10}{'ratio':>8}")
    first = None
    for row_count in arguments.rows:
        peak, seconds = measured(row_count)
        first = first or peak
        print(f"{row_count:>12,}{peak / 1e6:>10.0f}{seconds:>10.1f}{peak / first:>8.2f}")


if __name__ == "__main__":
    main()
