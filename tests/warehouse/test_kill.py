"""A writer that is killed leaves the old partition or the new one, never a mixture."""

import signal
import subprocess
import sys
import time

import pytest

from tests.warehouse.conftest import PARTITION, arguments, make_scoring_set, recorded_rows
from warehouse.connection import open_warehouse
from warehouse.home import project_folder
from warehouse.writing import write_partition

ROW_COUNT = 20_000  # 10 blocks of 2,048 rows

WRITER = """
import sys
import time
from tests.warehouse.conftest import PARTITION, arguments
from warehouse.connection import open_warehouse
from warehouse.writing import write_partition

def score(batch):
    print("block", flush=True)
    time.sleep(0.01)
    return {"score": batch["share"]}

with open_warehouse() as connection:
    write_partition(
        connection, PARTITION,
        **arguments(score=score, model_sha256=sys.argv[1], batch_rows=2048),
    )
    print("written", flush=True)
    time.sleep(60)
"""


def writer(model_sha256):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, model_sha256],
        cwd=project_folder(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def partition_and_manifest(connection):
    """Return what the partition holds, and the run that the manifest says it holds."""
    held = connection.execute(
        """
        select scoring_run_id, count(*), count(distinct (entity_id, shop))
        from recorded.predictions_toy
        group by scoring_run_id
        """
    ).fetchall()
    stated = connection.execute(
        "select scoring_run_id, row_count from recorded.scoring_runs order by epoch desc limit 1"
    ).fetchall()
    return held, stated


@pytest.fixture
def old_partition(state_folder):
    with open_warehouse() as connection:
        make_scoring_set(connection, ROW_COUNT)
        write_partition(connection, PARTITION, **arguments())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("block_count", "delay_seconds"),
    [
        (1, 0.0),
        (2, 0.005),
        (5, 0.0),
        (9, 0.003),
        (10, 0.0),
        (10, 0.01),
        (10, 0.02),
        (10, 0.04),
        (10, 0.1),
    ],
)
def test_a_writer_killed_at_any_point_leaves_one_whole_partition(
    old_partition, block_count, delay_seconds
):
    process = writer("b" * 64)
    for _ in range(block_count):
        assert process.stdout.readline() == "block\n"
    time.sleep(delay_seconds)
    process.kill()
    process.communicate()
    with open_warehouse() as connection:
        held, stated = partition_and_manifest(connection)
        assert len(held) == 1
        assert held[0][1:] == (ROW_COUNT, ROW_COUNT)
        assert stated == [(held[0][0], ROW_COUNT)]
        assert held[0][0][-1] in "12"  # epoch 1 is the old partition, epoch 2 the new one
        run = write_partition(connection, PARTITION, **arguments(model_sha256="b" * 64))
        assert run.epoch == 2
        assert partition_and_manifest(connection) == (
            [(run.scoring_run_id, ROW_COUNT, ROW_COUNT)],
            [(run.scoring_run_id, ROW_COUNT)],
        )


@pytest.mark.slow
def test_an_interrupted_writer_says_so_and_writes_nothing(state_folder):
    with open_warehouse() as connection:
        make_scoring_set(connection, ROW_COUNT)
    process = writer("b" * 64)
    for _ in range(3):
        assert process.stdout.readline() == "block\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "KeyboardInterrupt" in errors
    with open_warehouse() as connection:
        assert recorded_rows(connection) == (0, 0, 0)
