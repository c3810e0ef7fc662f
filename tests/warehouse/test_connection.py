import os
import subprocess
import sys
import textwrap

import duckdb
import pytest
import sqlalchemy
from duckdb_sqlalchemy import ConnectionWrapper

from tests.warehouse.conftest import AS_OF
from warehouse.connection import (
    WarehouseDamaged,
    WarehouseLocked,
    WarehouseMissing,
    open_published,
    open_warehouse,
    seal,
    transaction,
)
from warehouse.facts import record, record_period
from warehouse.home import high_water_path, project_folder, warehouse_path


def test_the_recorded_tables_are_there_and_opening_again_changes_nothing(state_folder):
    with open_warehouse() as connection:
        record_period(connection, "toy", [AS_OF], known_at=AS_OF)
    with open_warehouse() as connection:
        assert connection.execute("select count(*) from recorded.periods").fetchall() == [(1,)]
        assert connection.execute("select current_setting('TimeZone')").fetchall() == [("UTC",)]


def test_two_connections_of_one_process_see_each_others_rows(connection):
    with open_warehouse() as other:
        record_period(other, "toy", [AS_OF], known_at=AS_OF)
    assert connection.execute("select count(*) from recorded.periods").fetchall() == [(1,)]


def test_a_file_that_another_process_holds_is_refused_with_its_pid(state_folder):
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from warehouse.connection import open_warehouse\n"
            "with open_warehouse():\n    print('open', flush=True)\n    input()",
        ],
        cwd=project_folder(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "open\n"
    try:
        with pytest.raises(WarehouseLocked, match=f"process {holder.pid} .*published.duckdb"):  # noqa: SIM117
            with open_warehouse():
                pass
    finally:
        holder.communicate("\n")
    with open_warehouse() as connection:
        assert connection.execute("select count(*) from recorded.periods").fetchall() == [(0,)]


def test_reading_before_anything_was_published_says_so_and_makes_no_file(state_folder):
    with pytest.raises(WarehouseMissing, match="nothing has been published yet"):  # noqa: SIM117
        with open_published():
            pass
    assert list(state_folder.iterdir()) == []


def test_a_warehouse_that_lost_recorded_rows_is_refused(state_folder):
    with open_warehouse() as connection:
        record_period(connection, "toy", [AS_OF], known_at=AS_OF)
        seal(connection)
        connection.execute("delete from recorded.periods")
    with pytest.raises(WarehouseDamaged, match=r"recorded.periods has 0 rows and had 1"):  # noqa: SIM117
        with open_warehouse():
            pass


def test_a_log_cut_short_after_the_mark_is_noticed(state_folder):
    # The file is copied before the row is recorded: the state a lost log would leave.
    with open_warehouse() as connection:
        seal(connection)
    before = warehouse_path().read_bytes()
    with open_warehouse() as connection:
        record_period(connection, "toy", [AS_OF], known_at=AS_OF)
        seal(connection)
    warehouse_path().write_bytes(before)
    with pytest.raises(WarehouseDamaged, match="has lost recorded rows"):  # noqa: SIM117
        with open_warehouse():
            pass


def test_a_vanished_file_with_a_mark_is_refused_and_not_made_anew(state_folder):
    with open_warehouse() as connection:
        record_period(connection, "toy", [AS_OF], known_at=AS_OF)
        seal(connection)
    warehouse_path().unlink()
    with pytest.raises(WarehouseDamaged, match="does not exist"):  # noqa: SIM117
        with open_warehouse():
            pass
    assert not warehouse_path().exists()
    high_water_path().unlink()
    with open_warehouse() as connection:
        assert connection.execute("select count(*) from recorded.periods").fetchall() == [(0,)]


def test_a_failed_transaction_is_rolled_back_whole(connection):
    def fail_half_way():
        with transaction(connection):
            connection.execute("create table recorded.half (n integer)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    with pytest.raises(duckdb.CatalogException):
        connection.execute("select * from recorded.half")


def test_an_aborted_transaction_is_never_reported_as_committed(connection):
    row = {"task": "toy", "as_of_date": AS_OF, "known_at": AS_OF}
    record(connection, {"periods": [row]})

    def swallow_the_error():
        with transaction(connection):
            connection.execute(
                "insert into recorded.leases values ('toy', 1, date '2017-09-03', 1)"
            )
            with pytest.raises(duckdb.ConstraintException):
                connection.execute("insert into recorded.periods select * from recorded.periods")

    with pytest.raises(duckdb.TransactionException):
        swallow_the_error()
    assert connection.execute("select count(*) from recorded.leases").fetchall() == [(0,)]


def test_a_sqlalchemy_engine_over_our_connection_sees_what_we_recorded(connection):
    engine = sqlalchemy.create_engine(
        "duckdb://", creator=lambda: ConnectionWrapper(connection.cursor())
    )
    record_period(connection, "toy", [AS_OF], known_at=AS_OF)
    with engine.connect() as other:
        assert other.execute(sqlalchemy.text("select count(*) from recorded.periods")).scalar() == 1


@pytest.mark.slow
@pytest.mark.parametrize("first", ["dbt", "ours"])
def test_dbt_and_our_connections_share_one_process_in_any_order(tmp_path, first):
    project = tmp_path / "project"
    (project / "models").mkdir(parents=True)
    (project / "models" / "one.sql").write_text(
        "select count(*) as periods, current_setting('TimeZone') as time_zone from recorded.periods"
    )
    (project / "dbt_project.yml").write_text(
        "name: small\nprofile: weighhouse\nconfig-version: 2\n"
        "models: {small: {+materialized: table}}\n"
        "flags: {send_anonymous_usage_stats: false}\n"
    )
    script = textwrap.dedent(
        """
        import sys
        from dbt.cli.main import dbtRunner
        from warehouse.connection import open_warehouse, seal
        from warehouse.home import project_folder
        from warehouse.publishing import publish

        def dbt():
            result = dbtRunner().invoke(
                ["--quiet", "run", "--project-dir", sys.argv[1],
                 "--profiles-dir", str(project_folder() / "dbt_project")])
            assert result.success, (result.exception, result.result)

        with open_warehouse():  # makes the recorded tables that the SQL model reads
            pass
        if sys.argv[2] == "dbt":
            dbt()
        with open_warehouse() as connection:
            dbt()
            rows = connection.execute("select * from main.one").fetchall()
            assert rows == [(0, "UTC")], rows
            publish(connection)
        dbt()
        with open_warehouse() as connection:
            seal(connection)
        print("shared")
        """
    )
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", script, str(project), first],
        cwd=project_folder(),
        env={
            **os.environ,
            "WEIGHHOUSE_HOME": str(home),
            "DBT_TARGET_PATH": str(tmp_path / "target"),
            "DBT_LOG_PATH": str(tmp_path / "log"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("shared\n"), done.stdout + done.stderr
