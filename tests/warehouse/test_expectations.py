"""The borders of training set, scoring set and predictions, on sets of 100 households."""

import subprocess
import sys
from datetime import date

import pytest
from declared import counts, empty_warehouse, rows

from warehouse.expectations import (
    ExpectationRefused,
    JudgementFailed,
    build_data_docs,
    judge_predictions,
    judge_scoring_set,
    judge_training_set,
)
from warehouse.expectations.engine import Judged, judge
from warehouse.sources import Rule

AS_OF = date(2017, 9, 3)
FEATURES = ["visits", "spend", "region", "month"]
# visits 0 to 9, spend null in 10 of 100 rows, two regions, the month constant within a period
HOUSEHOLDS = """
    select
        i as household_id,
        as_of_date,
        cast(i % 10 as integer) as visits,
        case when i % 10 = 3 then null else i * 5e-1 end as spend,
        case when i % 4 = 0 then 'north' else 'south' end as region,
        month(as_of_date) as month,
        as_of_date as features_known_at,
        as_of_date + 28 as label_known_at,
        i % 8 = 0 as is_churned,
        i * 25e-2 as spent_later,
        case when i % 3 = 0 then 'fruit' else 'bread' end as bought_next
    from range(100) as households (i)
    cross join (values (date '2017-07-30'), (date '2017-08-06'), (date '2017-09-03'))
        as periods (as_of_date)
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("great_expectations")


@pytest.fixture
def connection():
    warehouse = empty_warehouse()
    warehouse.execute(f"create table households as {HOUSEHOLDS}")
    return warehouse


def kept(connection):
    return rows(
        connection,
        "select border, unit_id, broken_rules from quarantine.judged_rows order by unit_id",
    )


def failed(connection):
    (row,) = rows(connection, "select is_passed, failed_expectations from recorded.validations")
    return row


class TestTrainingSet:
    @pytest.fixture(autouse=True)
    def _bound(self, connection, folder):
        self.connection, self.folder = connection, folder

    def judge(self, kind="binary", label="is_churned", features=FEATURES):
        return judge_training_set(
            self.connection,
            task="churn",
            as_of_date=AS_OF,
            query="select * from households where as_of_date < date '2017-09-03'",
            entity_key=["household_id"],
            feature_columns=features,
            label_column=label,
            kind=kind,
            folder=self.folder,
        )

    def test_a_sound_set_passes_and_is_recorded(self):
        judgement = self.judge()
        assert judgement.success
        assert judgement.checked_row_count == 200
        assert failed(self.connection) == (True, [])

    def test_a_regression_and_a_multiclass_label_pass(self):
        assert self.judge(kind="regression", label="spent_later").success
        assert self.judge(kind="multiclass", label="bought_next").success

    @pytest.mark.parametrize(
        ("change", "rule", "found"),
        [
            ("set visits = null", "features_not_all_null", "'feature': 'visits'"),
            ("set visits = 7", "features_not_constant", "'feature': 'visits'"),
            ("set spend = 'nan' where household_id = 5", "features_finite", "'feature': 'spend'"),
            ("set spend = '-inf' where household_id = 5", "features_finite", "'feature': 'spend'"),
            ("set is_churned = null where household_id = 5", "label_not_null", "2 of 200 rows"),
            ("set is_churned = false", "label_has_two_values", "found 1"),
            ("set household_id = 5 where household_id = 6", "key_unique", "4 of 200 rows"),
            ("set household_id = null where household_id = 5", "key_household_id_not_null", "2 of"),
        ],
    )
    def test_a_broken_set_is_refused_by_rule(self, change, rule, found):
        self.connection.execute(f"update households {change}")
        with pytest.raises(JudgementFailed, match=rule) as refused:
            self.judge()
        assert found in str(refused.value)
        is_passed, rules = failed(self.connection)
        assert not is_passed
        assert rule in rules

    def test_rows_that_show_the_fault_are_kept(self):
        self.connection.execute("update households set spend = 'nan' where household_id = 5")
        self.connection.execute("update households set is_churned = null where household_id = 6")
        for _ in range(2):  # judged again, they replace those kept before
            with pytest.raises(JudgementFailed, match="4 rows are kept in quarantine"):
                self.judge()
        assert kept(self.connection) == [
            *2 * [("training_set", "5", ["features_finite"])],
            *2 * [("training_set", "6", ["label_not_null"])],
        ]

    def test_a_missing_or_moved_column_is_refused(self):
        with pytest.raises(JudgementFailed, match="columns_as_declared"):
            self.judge(features=[*FEATURES, "income"])
        with pytest.raises(JudgementFailed, match="columns_as_declared"):
            self.judge(features=list(reversed(FEATURES)))

    def test_a_binary_label_other_than_0_and_1_is_refused(self):
        with pytest.raises(JudgementFailed, match="label_is_0_or_1"):
            self.judge(label="spent_later")


class TestScoringSet:
    @pytest.fixture(autouse=True)
    def _bound(self, connection, folder):
        self.connection, self.folder = connection, folder
        connection.execute(
            """
            insert into recorded.model_versions by name
            select
                'churn' as task, 1 as model_version, date '2017-09-03' as cut_off_date,
                'households' as feature_table, 1 as feature_version, 'logistic' as pipeline,
                '{}' as hyperparameters, date '2017-07-02' as fit_first_date,
                date '2017-07-23' as fit_last_date, 100 as fit_row_count,
                date '2017-07-30' as holdout_first_date, date '2017-08-06' as holdout_last_date,
                200 as holdout_row_count, 300 as training_row_count, '' as training_content_hash,
                '' as code_commit, '' as lock_sha256, 0 as seed, 1 as thread_count,
                '' as artifact_sha256, '' as arrays_sha256, '' as artifact_path,
                '' as mlflow_run_id, 'first_version' as trigger_reason,
                timestamp '2017-09-03' as recorded_at
            """
        )
        # of 200 rows: 20 without spend; 50 in the north, 149 in the south, 1 in the rare west
        connection.execute(
            """
            insert into recorded.reference_bins values
                ('churn', 1, 'visits', 'numeric', 0, 'interval', null, 4, null, 100),
                ('churn', 1, 'visits', 'numeric', 1, 'interval', 4, null, null, 100),
                ('churn', 1, 'spend', 'numeric', 0, 'interval', null, null, null, 180),
                ('churn', 1, 'spend', 'numeric', 1, 'missing', null, null, null, 20),
                ('churn', 1, 'region', 'categorical', 0, 'category', null, null, 'south', 149),
                ('churn', 1, 'region', 'categorical', 1, 'category', null, null, 'north', 50),
                ('churn', 1, 'region', 'categorical', 2, 'other', null, null, 'west', 1),
                ('churn', 1, 'month', 'numeric', 0, 'interval', null, null, null, 200)
            """
        )
        connection.execute("create schema scoring_sets")
        connection.execute("create view scoring_sets.score_churn_v1 as from households")

    def judge(self, **changes):
        given = {"feature_columns": FEATURES, "model_version": 1} | changes
        return judge_scoring_set(
            self.connection,
            task="churn",
            as_of_date=AS_OF,
            relation="scoring_sets.score_churn_v1",
            entity_key=["household_id"],
            folder=self.folder,
            **given,
        )

    def change(self, sql):
        self.connection.execute(f"update households {sql} and as_of_date = date '2017-09-03'")

    def test_a_sound_set_passes_though_the_month_is_constant(self):
        assert self.judge().success
        assert failed(self.connection) == (True, [])

    @pytest.mark.parametrize(
        ("change", "rule", "found"),
        [
            # null in 10 % of the reference, and in 10 + 40 = 50 % now
            (
                "set spend = null where household_id % 5 in (1, 2)",
                "null_share_as_in_reference",
                "'feature': 'spend'",
            ),
            # 10 % are of a new region
            (
                "set region = 'east' where household_id % 10 = 1",
                "categories_seen_in_reference",
                "'feature': 'region'",
            ),
            ("set visits = null where true", "features_not_all_null", "'feature': 'visits'"),
            ("set visits = 3 where true", "features_not_constant", "'feature': 'visits'"),
            ("set spend = 'inf' where household_id = 5", "features_finite", "'feature': 'spend'"),
            ("set household_id = 5 where household_id = 6", "key_unique", "2 of 100 rows"),
            ("set household_id = null where household_id = 5", "key_household_id_not_null", "1 of"),
        ],
    )
    def test_a_set_that_the_version_must_not_score_is_refused_by_rule(self, change, rule, found):
        self.change(change)
        with pytest.raises(JudgementFailed, match=rule) as refused:
            self.judge()
        assert found in str(refused.value)
        assert rule in failed(self.connection)[1]

    def test_a_few_rows_of_a_new_category_and_many_of_a_rare_one_pass(self):
        self.change("set region = 'west' where household_id % 10 = 1")
        self.change("set region = 'east' where household_id < 4")
        assert self.judge().success

    def test_too_few_rows_are_refused(self):
        self.connection.execute(
            "delete from households where as_of_date = date '2017-09-03' and household_id >= 40"
        )
        with pytest.raises(JudgementFailed, match=r"row_count_as_in_reference \(found 40\)"):
            self.judge()

    def test_no_rows_at_all_are_refused(self):
        self.connection.execute("delete from households where as_of_date = date '2017-09-03'")
        with pytest.raises(JudgementFailed, match=r"row_count_as_in_reference \(found 0\)"):
            self.judge()

    def test_a_version_without_a_reference_is_refused(self):
        with pytest.raises(JudgementFailed, match="reference_exists"):
            self.judge(model_version=2)

    def test_a_missing_column_is_refused(self):
        with pytest.raises(JudgementFailed, match="columns_as_declared"):
            self.judge(feature_columns=[*FEATURES, "income"])

    def test_broken_rows_are_kept_and_nothing_is_scored(self):
        self.change("set spend = 'nan' where household_id = 5")
        with pytest.raises(JudgementFailed):
            self.judge()
        assert kept(self.connection) == [("scoring_set", "5", ["features_finite"])]
        assert counts(self.connection, "recorded.scoring_runs") == {"recorded.scoring_runs": 0}


class TestPredictions:
    @pytest.fixture(autouse=True)
    def _bound(self, connection, folder):
        self.connection, self.folder = connection, folder
        connection.execute(
            "create table recorded.predictions_churn as "
            "select household_id, as_of_date, 1 as model_version, visits / 10 as score, "
            "case when household_id > 50 then 5e-1 end as expected_absolute_error "
            "from households where as_of_date = date '2017-09-03'"
        )

    def judge(self, kind="binary", expected_row_count=100):
        return judge_predictions(
            self.connection,
            task="churn",
            as_of_date=AS_OF,
            model_version=1,
            kind=kind,
            entity_key=["household_id"],
            expected_row_count=expected_row_count,
            folder=self.folder,
        )

    def test_sound_predictions_pass(self):
        assert self.judge().success
        assert failed(self.connection) == (True, [])

    @pytest.mark.parametrize(
        ("value", "rule", "kind"),
        [
            ("null", "score_not_null", "regression"),
            ("'nan'", "score_in_range", "regression"),
            ("'inf'", "score_in_range", "regression"),
            ("1.5", "score_in_range", "binary"),
            ("-0.5", "score_in_range", "multiclass"),
        ],
    )
    def test_a_score_that_is_none_is_refused_and_kept(self, value, rule, kind):
        self.connection.execute(
            f"update recorded.predictions_churn set score = {value} where household_id = 5"
        )
        with pytest.raises(JudgementFailed, match=rule):
            self.judge(kind=kind)
        assert kept(self.connection) == [("predictions", "5", [rule])]

    @pytest.mark.parametrize("value", ["-0.5", "'nan'", "'inf'"])
    def test_an_expected_error_that_is_none_is_refused_and_kept(self, value):
        self.connection.execute(
            "update recorded.predictions_churn"
            f" set expected_absolute_error = {value} where household_id = 5"
        )
        with pytest.raises(JudgementFailed, match="expected_absolute_error_in_range"):
            self.judge(kind="regression")
        broken = [("predictions", "5", ["expected_absolute_error_in_range"])]
        assert kept(self.connection) == broken

    def test_a_regression_may_predict_any_number(self):
        self.connection.execute("update recorded.predictions_churn set score = -60")
        assert self.judge(kind="regression").success

    def test_another_count_than_was_scored_is_refused(self):
        with pytest.raises(JudgementFailed, match=r"row_count_as_scored \(found 100\)"):
            self.judge(expected_row_count=99)

    def test_repeated_keys_are_refused(self):
        self.connection.execute(
            "update recorded.predictions_churn set household_id = 5 where household_id = 6"
        )
        with pytest.raises(JudgementFailed, match="key_unique"):
            self.judge()


def test_judging_leaves_the_connection_open_and_its_transaction_alone(connection, folder):
    connection.execute("begin transaction")
    connection.execute("create temp table numbers as select i from range(3) as numbers (i)")
    judgement, broken = judge(
        connection,
        [Judged("numbers", [Rule("i_positive", "ExpectColumnValuesToBeBetween",
                                 {"column": "i", "min_value": 1})], row_column="i")],
        border="landing",
        subject="numbers",
        as_of_date=AS_OF,
        checked_row_count=3,
        folder=folder,
    )  # fmt: skip
    assert [failure.rule for failure in judgement.failures] == ["i_positive"]
    assert rows(connection, broken[0].rows_query) == [(0,)]
    connection.execute("rollback")
    assert rows(
        connection, "select count(*) from duckdb_tables() where table_name = 'numbers'"
    ) == [(0,)]


@pytest.mark.parametrize(
    ("expectation", "arguments", "message"),
    [
        ("ExpectColumnValuesToBeBetween", {"column": "i", "low": 1}, "is wrongly declared"),
        ("ExpectColumnValuesToNotBeNull", {"column": "j"}, "cannot be evaluated"),
    ],
)
def test_an_expectation_that_cannot_be_evaluated_is_refused_by_name(
    connection, folder, expectation, arguments, message
):
    connection.execute("create temp table numbers as select 1 as i")
    with pytest.raises(ExpectationRefused, match=f"rule odd .*{message}"):
        judge(
            connection,
            [Judged("numbers", [Rule("odd", expectation, arguments)])],
            border="landing",
            subject="numbers",
            as_of_date=AS_OF,
            checked_row_count=1,
            folder=folder,
        )


def test_data_docs_hold_every_judgement_also_those_made_after_the_first_build(connection, tmp_path):
    connection.execute("create temp table numbers as select 1 as i")
    rule = Rule("i_not_null", "ExpectColumnValuesToNotBeNull", {"column": "i"})
    for day in (date(2017, 9, 3), date(2017, 9, 10)):
        judge(
            connection,
            [Judged("numbers", [rule])],
            border="landing",
            subject="shop.numbers",
            as_of_date=day,
            checked_row_count=1,
            folder=tmp_path,
        )
        address = build_data_docs(tmp_path)
    assert address == (tmp_path / "data_docs" / "index.html").as_uri()
    index = (tmp_path / "data_docs" / "index.html").read_text(encoding="utf-8")
    pages = [path.as_posix() for path in (tmp_path / "data_docs").rglob("validations/**/*.html")]
    assert len(pages) == 2
    for day in ("2017-09-03", "2017-09-10"):
        assert any(day in page for page in pages)
        assert day in index


def test_importing_the_borders_does_not_import_great_expectations():
    code = (
        "import sys, warehouse.landing, warehouse.expectations; "
        "print('great_expectations' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
