from datetime import UTC, date, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest

from tests.warehouse.conftest import AS_OF
from warehouse.facts import (
    ChampionChanged,
    FactRefused,
    record,
    record_period,
    record_promotion,
)


def rows_of(connection, query):
    return connection.execute(query).fetchall()


def promotion(**changed):
    return {
        "task": "toy",
        "as_of_date": AS_OF,
        "effective_from_date": AS_OF,
        "act": "promote",
        "model_version": 1,
        "previous_version": None,
        "decision_id": "decision 1",
        "actor": "policy",
        "reason": "first_version",
    } | changed


PERIOD = {"task": "toy", "as_of_date": AS_OF, "known_at": AS_OF}


def test_recorded_at_is_filled_in_utc(connection):
    record(connection, {"periods": [PERIOD]})
    ((recorded_at,),) = rows_of(connection, "select recorded_at from recorded.periods")
    assert abs(datetime.now(UTC).replace(tzinfo=None) - recorded_at) < timedelta(minutes=1)


def test_arrow_tables_and_mappings_record_the_same(connection):
    metric = {
        "task": "toy",
        "model_version": 1,
        "scorer": "model",
        "split": "fit",
        "metric": "log_loss",
        "metric_value": 0.25,
    }
    other = pa.Table.from_pylist([metric | {"metric": "brier_score"}])
    record(connection, {"model_metrics": [metric]})
    record(connection, {"model_metrics": other})
    assert rows_of(
        connection, "select metric, metric_value from recorded.model_metrics order by metric"
    ) == [("brier_score", 0.25), ("log_loss", 0.25)]


def test_several_tables_are_recorded_together_or_not_at_all(connection):
    build = {"build_number": 1, "project_sha256": "f" * 64}
    with pytest.raises(duckdb.ConstraintException):
        record(connection, {"project_builds": [build], "periods": [PERIOD, PERIOD]})
    assert rows_of(connection, "select * from recorded.project_builds") == []
    assert rows_of(connection, "select * from recorded.periods") == []


def test_an_unknown_column_is_refused_by_name(connection):
    with pytest.raises(FactRefused, match=r"recorded\.periods has no column 'colour'"):
        record(connection, {"periods": [PERIOD, PERIOD | {"colour": "red"}]})
    assert rows_of(connection, "select * from recorded.periods") == []


def test_an_unknown_table_is_refused_by_name(connection):
    with pytest.raises(FactRefused, match=r"no table recorded\.colours"):
        record(connection, {"colours": [{"colour": "red"}]})


def test_a_value_of_another_type_is_refused_by_column(connection):
    with pytest.raises(FactRefused, match=r"recorded\.periods\.as_of_date is of type date32"):
        record(connection, {"periods": [PERIOD | {"as_of_date": "tomorrow"}]})
    assert rows_of(connection, "select * from recorded.periods") == []


def test_a_missing_value_is_refused_by_column(connection):
    with pytest.raises(duckdb.ConstraintException, match="known_at"):
        record(connection, {"periods": [{"task": "toy", "as_of_date": AS_OF}]})
    assert rows_of(connection, "select * from recorded.periods") == []


def test_no_rows_are_nothing_to_record(connection):
    record(connection, {"feature_builds": []})
    assert rows_of(connection, "select * from recorded.feature_builds") == []


def test_periods_that_were_asked_for_are_left_alone(connection):
    record_period(connection, "toy", [AS_OF], known_at=AS_OF)
    first = rows_of(connection, "select * from recorded.periods")
    later = [AS_OF - timedelta(days=7), AS_OF]
    record_period(connection, "toy", later, known_at=AS_OF)
    after = rows_of(connection, "select * from recorded.periods order by as_of_date desc")
    assert after[:1] == first
    assert len(after) == 2


def test_a_period_known_before_it_happened_is_refused(connection):
    with pytest.raises(duckdb.ConstraintException, match="CHECK"):
        record_period(connection, "toy", [AS_OF], known_at=AS_OF - timedelta(days=1))
    assert rows_of(connection, "select * from recorded.periods") == []


def test_a_promotion_applied_twice_is_recorded_once(connection):
    assert record_promotion(connection, **promotion()) is True
    assert record_promotion(connection, **promotion()) is False
    assert rows_of(connection, "select promotion_id from recorded.promotions") == [
        ("toy-2017-09-03-v1-a1",)
    ]


def override(model_version, previous_version):
    return promotion(
        act="override",
        model_version=model_version,
        previous_version=previous_version,
        decision_id=None,
        actor="Ada",
    )


def test_a_person_who_changes_their_mind_on_one_day_is_recorded_each_time(connection):
    assert record_promotion(connection, **override(1, None)) is True
    assert record_promotion(connection, **override(2, 1)) is True
    assert record_promotion(connection, **override(1, 2)) is True
    assert record_promotion(connection, **override(1, 1)) is False  # given twice
    assert rows_of(
        connection, "select promotion_id, previous_version from recorded.promotions order by all"
    ) == [
        ("toy-2017-09-03-v1-a1", None),
        ("toy-2017-09-03-v1-a3", 2),
        ("toy-2017-09-03-v2-a2", 1),
    ]


def test_a_decision_that_a_person_has_overruled_is_not_applied_again(connection):
    record_promotion(connection, **override(1, None))
    decided = promotion(model_version=2, previous_version=1)
    assert record_promotion(connection, **decided) is True
    assert record_promotion(connection, **override(1, 2)) is True
    assert record_promotion(connection, **decided) is False  # the day is run again
    assert rows_of(
        connection, "select model_version from recorded.promotions order by act_number"
    ) == [(1,), (2,), (1,)]


def test_an_act_of_another_task_between_does_not_make_a_repetition_new(connection):
    record_promotion(connection, **override(1, None))
    record_promotion(connection, **override(1, None) | {"task": "other"})
    assert record_promotion(connection, **override(1, 1)) is False


def test_a_promotion_decided_against_another_champion_is_refused_naming_both(connection):
    record_promotion(connection, **promotion())
    later = promotion(model_version=3, previous_version=2, decision_id="decision 2")
    with pytest.raises(ChampionChanged, match=r"of toy is version 1, .* against version 2"):
        record_promotion(connection, **later)
    with pytest.raises(ChampionChanged, match="decided against no version yet"):
        record_promotion(connection, **later | {"previous_version": None})
    assert rows_of(connection, "select model_version from recorded.promotions") == [(1,)]


def test_of_two_acts_of_one_day_the_later_names_the_champion(connection):
    record_promotion(connection, **promotion())
    act = promotion(model_version=2, previous_version=1, decision_id="decision 2")
    record_promotion(connection, **act)
    back = promotion(
        act="override", model_version=3, previous_version=2, decision_id=None, actor="Ada"
    )
    record_promotion(connection, **back)
    with pytest.raises(ChampionChanged, match="is version 3"):
        record_promotion(connection, **promotion(model_version=4, previous_version=2))


def test_an_act_that_takes_effect_before_the_champion_did_is_refused(connection):
    record_promotion(connection, **promotion(effective_from_date=date(2017, 9, 4)))
    early = promotion(model_version=2, previous_version=1, effective_from_date=AS_OF)
    with pytest.raises(FactRefused, match="before the present champion, version 1, did"):
        record_promotion(connection, **early)
    assert rows_of(connection, "select model_version from recorded.promotions") == [(1,)]


def test_only_an_override_needs_no_decision(connection):
    with pytest.raises(duckdb.ConstraintException, match="CHECK"):
        record_promotion(connection, **promotion(decision_id=None))
    assert rows_of(connection, "select * from recorded.promotions") == []
