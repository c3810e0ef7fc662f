import copy
import zipfile
from datetime import date, datetime

import duckdb
import pytest
from declared import ORDERS, ORDERS_LANDING, counts, empty_warehouse, manifest, rows, write_csv

from warehouse.landing import (
    BatchRefused,
    NothingToLand,
    OutOfOrder,
    create_raw_tables,
    land,
)
from warehouse.raw_tables import RawTableDiffers
from warehouse.source_files import SourceFileRefused
from warehouse.sources import load_sources

WRITTEN = (
    "raw.orders",
    "quarantine.orders",
    "recorded.batches",
    "recorded.validations",
)
NOTHING = dict.fromkeys(WRITTEN, 0)

# two orders before 2017-01-08, two in the week after it
GOOD = [
    "1,10.5,open,2017-01-02 10:00:00",
    "2,0.0,paid,2017-01-07 23:59:59",
    "3,7.25,open,2017-01-08 00:00:00",
    "4,8.0,NA,2017-01-14 12:00:00",
]


@pytest.fixture(scope="session")
def expectations_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("great_expectations")


@pytest.fixture
def shop(tmp_path, expectations_folder):
    return Shop(tmp_path, expectations_folder)


class Shop:
    """A warehouse, a file of orders, and the declaration that lands it."""

    def __init__(self, folder, expectations_folder):
        self.folder = folder
        self.expectations_folder = expectations_folder
        self.connection = empty_warehouse()
        self.path = folder / "orders.csv"
        self.landing = copy.deepcopy(ORDERS_LANDING) | {"path": str(self.path), "null_text": "NA"}
        self.columns = dict(ORDERS)

    @property
    def source(self):
        return load_sources(manifest(columns=self.columns, **self.landing))["shop"]

    def write(self, lines, **options):
        write_csv(self.path, lines, **options)
        return self

    def land(self, as_of_date):
        create_raw_tables(self.connection, [self.source])
        (batch,) = land(
            self.connection,
            self.source,
            as_of_date,
            cache_folder=self.folder / "cache",
            expectations_folder=self.expectations_folder,
        )
        return batch

    def counts(self):
        return counts(self.connection, *WRITTEN)


def test_only_what_had_happened_before_the_date_lands_and_says_when_it_was_known(shop):
    batch = shop.write(GOOD).land(date(2017, 1, 8))
    assert (batch.landed_row_count, batch.quarantined_row_count, batch.is_new) == (2, 0, True)
    assert rows(shop.connection, "select order_id, known_at from raw.orders order by 1") == [
        (1, date(2017, 1, 8)),
        (2, date(2017, 1, 8)),
    ]
    assert rows(
        shop.connection,
        "select source_name, table_name, as_of_date, landed_row_count, first_event_at, "
        "last_event_at from recorded.batches",
    ) == [
        (
            "shop",
            "orders",
            date(2017, 1, 8),
            2,
            datetime(2017, 1, 2, 10),
            datetime(2017, 1, 7, 23, 59, 59),
        )
    ]


def test_landing_twice_changes_nothing(shop):
    shop.write(GOOD).land(date(2017, 1, 8))
    before = shop.counts()
    again = shop.land(date(2017, 1, 8))
    assert not again.is_new
    assert shop.counts() == before


def test_the_next_batch_begins_where_the_last_one_ended(shop):
    shop.write(GOOD).land(date(2017, 1, 8))
    assert shop.land(date(2017, 1, 15)).landed_row_count == 2
    assert rows(
        shop.connection, "select order_id, status from raw.orders where known_at = '2017-01-15'"
    ) == [(3, "open"), (4, None)]


def test_a_period_without_events_lands_as_an_empty_batch(shop):
    shop.write(GOOD).land(date(2017, 1, 15))
    assert shop.land(date(2017, 1, 22)).landed_row_count == 0
    assert shop.counts()["recorded.batches"] == 2


def test_a_snapshot_without_rows_is_refused_before_anything_is_written(shop):
    del shop.landing["event_at"]
    with pytest.raises(SourceFileRefused, match=r"shop.orders has no rows, .* the complete file"):
        shop.write([]).land(date(2017, 1, 8))
    assert shop.counts() == NOTHING
    shop.write(GOOD).land(date(2017, 1, 8))
    before = shop.counts()
    with pytest.raises(SourceFileRefused, match="has no rows"):
        shop.write([]).land(date(2017, 1, 15))
    assert shop.counts() == before


def test_a_date_before_the_first_event_is_refused(shop):
    with pytest.raises(NothingToLand, match="its first event is at 2017-01-02 10:00:00"):
        shop.write(GOOD).land(date(2017, 1, 2))
    assert shop.counts() == NOTHING


def test_a_date_between_landed_ones_is_out_of_order(shop):
    shop.write(GOOD).land(date(2017, 1, 8))
    shop.land(date(2017, 1, 15))
    before = shop.counts()
    with pytest.raises(
        OutOfOrder, match="has landed as of 2017-01-15, so what happened before 2017-01-11"
    ):
        shop.land(date(2017, 1, 11))
    assert not shop.land(date(2017, 1, 8)).is_new
    assert shop.counts() == before


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("order_id,amount,status", "column ordered_at is missing"),
        ("order_id,sum,status,ordered_at", "column amount is missing; column sum is not declared"),
        ("order_id,amount,status,ordered_at,note", "column note is not declared"),
    ],
)
def test_a_missing_renamed_or_extra_column_is_refused_before_anything_is_written(
    shop, header, message
):
    width = header.count(",") + 1
    lines = [",".join([*line.split(","), "x"][:width]) for line in GOOD]
    with pytest.raises(SourceFileRefused, match=message):
        shop.write(lines, header=header).land(date(2017, 1, 15))
    assert shop.counts() == NOTHING
    assert not list((shop.folder / "cache").rglob("*.parquet"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "5,many,open,2017-01-09 10:00:00",
            "column amount is declared double, and row 5 holds 'many'",
        ),
        (
            "five,1.0,open,2017-01-09 10:00:00",
            "column order_id is declared bigint, and row 5 holds 'five'",
        ),
        (
            "5.5,1.0,open,2017-01-09 10:00:00",
            "column order_id is declared bigint, and row 5 holds '5.5'",
        ),
        ("5,1.0,open,soon", "column ordered_at is declared timestamp, and row 5 holds 'soon'"),
    ],
)
def test_a_value_of_another_type_is_refused_by_column_value_and_row(shop, line, message):
    with pytest.raises(SourceFileRefused, match=message):
        shop.write([*GOOD, line]).land(date(2017, 1, 15))
    assert shop.counts() == NOTHING


def test_a_retyped_parquet_column_is_refused(shop):
    shop.path = shop.folder / "orders.parquet"
    shop.landing |= {"path": str(shop.path), "null_text": None}
    duckdb.sql(
        "select 1::bigint as order_id, '1.5' as amount, 'open' as status, "
        "timestamp '2017-01-02 10:00:00' as ordered_at"
    ).write_parquet(str(shop.path))
    with pytest.raises(SourceFileRefused, match="column amount is VARCHAR, and double is declared"):
        shop.land(date(2017, 1, 8))
    assert shop.counts() == NOTHING


def test_a_row_without_event_time_is_refused(shop):
    with pytest.raises(SourceFileRefused, match="row 5 has no event time"):
        shop.write([*GOOD, "5,1.0,open,NA"]).land(date(2017, 1, 15))
    assert shop.counts() == NOTHING


def test_a_declared_subset_leaves_the_other_columns_out(shop):
    shop.landing["is_subset"] = True
    shop.write([f"{line},x" for line in GOOD], header="order_id,amount,status,ordered_at,note")
    assert shop.land(date(2017, 1, 15)).landed_row_count == 4


def test_one_csv_in_a_zip_is_read_and_two_are_refused(shop):
    shop.write(GOOD)
    archive = shop.folder / "orders.csv.zip"
    shop.landing["path"] = str(archive)
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.write(shop.path, "orders.csv")
    assert shop.land(date(2017, 1, 8)).landed_row_count == 2
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.write(shop.path, "more.csv")
    with pytest.raises(
        SourceFileRefused, match=r"holds orders.csv, more.csv; accepted: one csv file"
    ):
        shop.land(date(2017, 1, 15))
    assert shop.counts()["raw.orders"] == 2


def test_rows_that_break_a_rule_go_to_quarantine_with_the_names_of_the_rules(shop):
    bad = "5,-1.0,lost,2017-01-03 10:00:00"
    batch = shop.write([*GOOD, bad]).land(date(2017, 1, 15))
    assert (batch.landed_row_count, batch.quarantined_row_count) == (4, 1)
    assert rows(
        shop.connection, "select order_id, known_at, broken_rules from quarantine.orders"
    ) == [(5, date(2017, 1, 15), ["amount_not_negative", "status_known"])]
    assert rows(shop.connection, "select count(*) from raw.orders where order_id = 5") == [(0,)]
    assert rows(
        shop.connection, "select is_passed, failed_expectations from recorded.validations"
    ) == [(True, ["amount_not_negative", "status_known"])]


@pytest.mark.parametrize(
    ("line", "rule", "broken"),
    [
        ("NA,1.0,open,2017-01-03 10:00:00", "key_not_null", 1),
        # both rows that share the key: neither can be trusted to be the right one
        ("1,1.0,open,2017-01-03 10:00:00", "key_unique", 2),
        ("5,nan,open,2017-01-03 10:00:00", "amount_plausible", 1),
        ("5,inf,open,2017-01-03 10:00:00", "amount_plausible", 1),
    ],
)
def test_null_and_duplicate_keys_and_non_finite_values_go_to_quarantine(shop, line, rule, broken):
    shop.landing["max_quarantine_share"] = 0.5
    shop.landing["expectations"][0] |= {"rule": "amount_plausible", "max_value": 1000}
    batch = shop.write([*GOOD, line]).land(date(2017, 1, 15))
    assert batch.quarantined_row_count == broken
    assert rows(shop.connection, "select distinct broken_rules from quarantine.orders") == [
        ([rule],)
    ]
    assert shop.counts()["raw.orders"] == 5 - broken


def test_a_key_that_an_earlier_batch_landed_goes_to_quarantine(shop):
    shop.landing["max_quarantine_share"] = 0.5
    shop.write([*GOOD, "1,1.0,open,2017-01-09 10:00:00"]).land(date(2017, 1, 8))
    assert shop.land(date(2017, 1, 15)).quarantined_row_count == 1
    assert rows(shop.connection, "select order_id, broken_rules from quarantine.orders") == [
        (1, ["key_not_in_raw"])
    ]


def test_a_batch_that_breaks_too_much_stops_with_its_rows_kept_and_none_in_raw(shop):
    # 2 of 4 rows are broken: 50 %, and 25 % are allowed
    lines = [*GOOD[:2], "5,-1.0,open,2017-01-03 10:00:00", "6,-2.0,open,2017-01-03 10:00:00"]
    shop.write(lines)
    for _ in range(2):  # tried again, it leaves the same rows, not twice as many
        with pytest.raises(BatchRefused, match=r"2 of 4 rows \(50.00%; 25.00% allowed"):
            shop.land(date(2017, 1, 8))
        assert shop.counts() | {"recorded.validations": None} == {
            "raw.orders": 0,
            "quarantine.orders": 2,
            "recorded.batches": 0,
            "recorded.validations": None,
        }
    assert rows(shop.connection, "select distinct is_passed from recorded.validations") == [
        (False,)
    ]


def test_a_refused_batch_lands_once_the_file_is_corrected(shop):
    shop.write(["1,-1.0,open,2017-01-02 10:00:00"])
    with pytest.raises(BatchRefused):
        shop.land(date(2017, 1, 8))
    assert shop.write(GOOD).land(date(2017, 1, 8)).landed_row_count == 2
    assert shop.counts()["quarantine.orders"] == 0


def test_an_expectation_about_the_whole_batch_stops_it(shop):
    shop.landing["expectations"].append(
        {"rule": "enough_rows", "type": "ExpectTableRowCountToBeBetween", "min_value": 100}
    )
    with pytest.raises(BatchRefused, match=r"enough_rows \(found 2\)"):
        shop.write(GOOD).land(date(2017, 1, 8))
    assert shop.counts()["raw.orders"] == 0


def test_a_snapshot_lands_again_only_when_its_content_changes(shop):
    del shop.landing["event_at"]
    assert shop.write(GOOD).land(date(2017, 1, 8)).landed_row_count == 4
    assert not shop.land(date(2017, 1, 15)).is_new
    assert not shop.write(list(reversed(GOOD))).land(date(2017, 1, 15)).is_new
    assert shop.counts()["raw.orders"] == 4
    assert shop.write(GOOD[:3]).land(date(2017, 1, 15)).landed_row_count == 3
    assert rows(
        shop.connection, "select known_at, count(*) from raw.orders group by 1 order by 1"
    ) == [(date(2017, 1, 8), 4), (date(2017, 1, 15), 3)]


def test_columns_declared_in_another_order_land_in_their_own_columns(shop):
    shop.columns["note"] = "varchar"  # of the type of status, so that a swap would not fail
    lines = [f"{line},note {number}" for number, line in enumerate(GOOD, start=1)]
    lines.append("5,-1.0,open,2017-01-09 10:00:00,note 5")
    shop.landing["max_quarantine_share"] = 0.5
    shop.write(lines, header="order_id,amount,status,ordered_at,note").land(date(2017, 1, 8))
    shop.columns = dict(reversed(shop.columns.items()))
    shop.land(date(2017, 1, 15))
    found = "select order_id, amount, status, note, known_at"
    assert rows(shop.connection, f"{found} from raw.orders order by order_id") == [
        (1, 10.5, "open", "note 1", date(2017, 1, 8)),
        (2, 0.0, "paid", "note 2", date(2017, 1, 8)),
        (3, 7.25, "open", "note 3", date(2017, 1, 15)),
        (4, 8.0, None, "note 4", date(2017, 1, 15)),
    ]
    assert rows(shop.connection, f"{found}, broken_rules from quarantine.orders") == [
        (5, -1.0, "open", "note 5", date(2017, 1, 15), ["amount_not_negative"])
    ]


def test_columns_declared_in_another_order_are_no_new_snapshot(shop):
    del shop.landing["event_at"]
    shop.write(GOOD).land(date(2017, 1, 8))
    shop.columns = dict(reversed(shop.columns.items()))
    assert not shop.land(date(2017, 1, 15)).is_new


def test_empty_tables_exist_before_the_first_landing_and_a_changed_declaration_is_refused(shop):
    create_raw_tables(shop.connection, [shop.source])
    create_raw_tables(shop.connection, [shop.source])
    assert shop.counts() == NOTHING
    shop.columns["amount"] = "bigint"
    with pytest.raises(RawTableDiffers, match=r"raw.orders has the columns"):
        create_raw_tables(shop.connection, [shop.source])
