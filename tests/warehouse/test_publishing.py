import subprocess
import sys
import threading

import duckdb
import pytest

from tests.warehouse.conftest import AS_OF, PARTITION, arguments
from warehouse.connection import WarehouseError, open_published
from warehouse.facts import record_period
from warehouse.home import high_water_path, project_folder, published_path
from warehouse.publishing import PUBLISHED_SCHEMAS, publish
from warehouse.writing import write_partition

READER = """
from warehouse.connection import open_published
with open_published() as connection:
    count = "select count(*) from recorded.periods"
    print(connection.execute(count).fetchall()[0][0], flush=True)
    input()
    print(connection.execute(count).fetchall()[0][0], flush=True)
with open_published() as connection:
    print(connection.execute(count).fetchall()[0][0], flush=True)
"""


def reader():
    return subprocess.Popen(
        [sys.executable, "-c", READER],
        cwd=project_folder(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def published(query):
    with open_published() as connection:
        return connection.execute(query).fetchall()


def test_tables_views_and_comments_are_published_and_other_schemas_are_not(scoring_set):
    write_partition(scoring_set, PARTITION, **arguments())
    scoring_set.execute(
        """
        create schema predictions;
        create view predictions.pred_toy as
        select predictions_toy.entity_id, predictions_toy.score
        from recorded.predictions_toy
        inner join scoring_sets.score_toy_v1 using (entity_id);
        comment on view predictions.pred_toy is 'The champion''s scores. One row per entity.';
        comment on column predictions.pred_toy.score is 'Probability, in [0, 1].';
        """
    )
    assert publish(scoring_set) == published_path()
    assert published("select count(*), min(score), max(score) from predictions.pred_toy") == [
        (1000, 0.0, 0.75)
    ]
    assert published("select comment from duckdb_tables() where table_name = 'pred_toy'") == [
        ("The champion's scores. One row per entity.",)
    ]
    assert published(
        "select comment from duckdb_columns()"
        " where table_name = 'pred_toy' and column_name = 'score'"
    ) == [("Probability, in [0, 1].",)]
    schemas = published("select schema_name from duckdb_schemas() where not internal order by all")
    assert {schema for (schema,) in schemas} - {"main"} == set(PUBLISHED_SCHEMAS)


def test_publishing_seals_the_warehouse_and_leaves_nothing_beside(scoring_set):
    publish(scoring_set)
    names = {path.name for path in published_path().parent.iterdir()}
    assert names - {"warehouse.duckdb.wal"} == {
        "warehouse.duckdb",
        "published.duckdb",
        high_water_path().name,
    }


def test_a_reader_keeps_its_copy_across_a_publish_and_the_next_sees_the_new_one(connection):
    publish(connection)
    held = reader()
    assert held.stdout.readline() == "0\n"
    record_period(connection, "toy", [AS_OF], known_at=AS_OF)
    publish(connection)
    seen, _ = held.communicate("\n")
    assert seen == "0\n1\n"


def test_a_publish_while_another_process_queries_disturbs_neither(connection):
    record_period(connection, "toy", [AS_OF], known_at=AS_OF)
    publish(connection)
    loop = (
        "from warehouse.connection import open_published\n"
        "print('begun', flush=True)\n"
        "for _ in range(40):\n"
        "    with open_published() as connection:\n"
        "        rows = connection.execute('select count(*) from recorded.periods').fetchall()\n"
        "        assert rows == [(1,)], rows\n"
    )
    querying = subprocess.Popen(
        [sys.executable, "-c", loop],
        cwd=project_folder(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert querying.stdout.readline() == "begun\n"
    publishes = 0
    while querying.poll() is None:
        publish(connection)
        publishes += 1
    assert querying.returncode == 0, querying.stderr.read()
    assert publishes >= 1


def test_a_view_that_cannot_be_read_is_named_and_the_older_copy_stays(connection):
    record_period(connection, "toy", [AS_OF], known_at=AS_OF)
    publish(connection)
    before = published_path().read_bytes()
    connection.execute(
        "create schema monitoring; create table recorded.gone (n integer);"
        "create view monitoring.mon_broken as select n from recorded.gone;"
        "drop table recorded.gone;"
    )
    with pytest.raises(WarehouseError, match=r"monitoring\.mon_broken cannot be published"):
        publish(connection)
    assert published_path().read_bytes() == before
    connection.execute("drop view monitoring.mon_broken")
    publish(connection)  # what the failed one left aside is not in the way


def test_what_a_killed_publish_left_aside_is_removed(connection):
    left_over = published_path().with_name("published.duckdb.aside")
    left_over.write_bytes(b"half a file")
    publish(connection)
    assert not left_over.exists()
    assert published("select count(*) from recorded.periods") == [(0,)]


def test_the_published_copy_cannot_be_written(connection):
    publish(connection)
    with open_published() as reading, pytest.raises(duckdb.InvalidInputException):
        reading.execute("create table recorded.mine (n integer)")


def test_two_threads_may_publish_at_once(connection):
    cursors = [connection.cursor() for _ in range(2)]
    threads = [threading.Thread(target=publish, args=[cursor]) for cursor in cursors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert published("select count(*) from recorded.periods") == [(0,)]
