import itertools
import threading
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tests.warehouse.conftest import (
    AS_OF,
    PARTITION,
    arguments,
    make_scoring_set,
    recorded_rows,
)
from warehouse.connection import WarehouseError, open_warehouse
from warehouse.expectations import JudgementFailed, judge_predictions
from warehouse.reading import KeysRefused, NoRows
from warehouse.writing import (
    PartitionBusy,
    ScoresRefused,
    create_predictions_table,
    write_partition,
)


def epochs(connection):
    """Return the run ids that the predictions carry, with their counts."""
    return connection.execute(
        "select scoring_run_id, count(*) from recorded.predictions_toy group by all order by all"
    ).fetchall()


def test_every_row_is_scored_and_stamped(scoring_set):
    run = write_partition(scoring_set, PARTITION, **arguments(batch_rows=2048))
    assert (run.row_count, run.epoch, run.is_skipped) == (1000, 1, False)
    assert run.scoring_run_id == "toy-v1-2017-09-03-e1"
    assert run.peak_memory_bytes > 10_000_000
    unequal = scoring_set.execute(
        """
        select count(*)
        from scoring_sets.score_toy_v1 as scored
        full join recorded.predictions_toy as written using (entity_id, shop, as_of_date)
        where
            written.score is distinct from scored.share
            or (written.model_version, written.role, written.scoring_run_id)
            is distinct from (1, 'champion', 'toy-v1-2017-09-03-e1')
        """
    ).fetchall()
    assert unequal == [(0,)]
    assert recorded_rows(scoring_set) == (1000, 1, 1)


def test_the_scoring_function_gets_the_features_in_the_order_asked(scoring_set):
    seen = []

    def score(batch):
        seen.append(batch.schema.names)
        return pa.record_batch({"score": batch["share"]})

    write_partition(
        scoring_set,
        PARTITION,
        **arguments(score=score, feature_columns=["visit_count", "share"], batch_rows=2048),
    )
    assert set(map(tuple, seen)) == {("visit_count", "share")}


def test_the_same_inputs_again_are_skipped(scoring_set):
    first = write_partition(scoring_set, PARTITION, **arguments())
    again = write_partition(scoring_set, PARTITION, **arguments(score=None))
    assert again == replace(first, is_skipped=True)
    assert recorded_rows(scoring_set) == (1000, 1, 1)


def test_changed_inputs_are_scored_again_and_the_older_manifest_stays(scoring_set):
    write_partition(scoring_set, PARTITION, **arguments())
    make_scoring_set(scoring_set, 900)
    run = write_partition(scoring_set, PARTITION, **arguments())
    assert (run.epoch, run.row_count, run.is_skipped) == (2, 900, False)
    assert epochs(scoring_set) == [("toy-v1-2017-09-03-e2", 900)]
    assert recorded_rows(scoring_set) == (900, 2, 1)


@pytest.mark.parametrize(
    "changed", [{"model_sha256": "b" * 64}, {"engine": "sql"}], ids=["artifact", "engine"]
)
def test_another_artifact_or_engine_is_scored_again(scoring_set, changed):
    write_partition(scoring_set, PARTITION, **arguments())
    assert write_partition(scoring_set, PARTITION, **arguments(**changed)).epoch == 2
    assert epochs(scoring_set) == [("toy-v1-2017-09-03-e2", 1000)]


def test_another_role_is_stamped_anew(scoring_set):
    write_partition(scoring_set, PARTITION, **arguments())
    write_partition(scoring_set, replace(PARTITION, role="predecessor"), **arguments())
    assert scoring_set.execute(
        "select role, count(*) from recorded.predictions_toy group by role"
    ).fetchall() == [("predecessor", 1000)]


def test_predictions_deleted_by_hand_are_written_again(scoring_set):
    write_partition(scoring_set, PARTITION, **arguments())
    scoring_set.execute("delete from recorded.predictions_toy where entity_id < 10")
    assert write_partition(scoring_set, PARTITION, **arguments()).is_skipped is False
    assert epochs(scoring_set) == [("toy-v1-2017-09-03-e2", 1000)]


def test_other_partitions_are_left_alone(scoring_set):
    write_partition(scoring_set, PARTITION, **arguments())
    write_partition(scoring_set, replace(PARTITION, model_version=2), **arguments())
    assert epochs(scoring_set) == [("toy-v1-2017-09-03-e1", 1000), ("toy-v2-2017-09-03-e1", 1000)]


def spoiled(value):
    """Return a scoring function that gives `value` to row 7."""

    def score(batch):
        scores = batch["share"].to_pylist()
        scores[7] = value
        return {"score": pa.array(scores, pa.float64())}

    return score


def with_errors(score, errors=None):
    """Return a scoring function of a regression: the same scores, and the errors to expect."""

    def score_both(batch):
        expected = pa.array(errors or [None] * len(batch), pa.float64())
        return {**score(batch), "expected_absolute_error": expected}

    return score_both


@pytest.mark.parametrize(
    ("kind", "value", "fault"),
    [
        ("binary", float("nan"), "not finite"),
        ("binary", None, "null score"),
        ("binary", 1.5, "outside"),
        ("regression", float("inf"), "not finite"),
    ],
)
def test_a_wrong_score_is_refused_by_key_and_nothing_is_written(connection, kind, value, fault):
    make_scoring_set(connection, 100, kind)
    score = with_errors(spoiled(value)) if kind == "regression" else spoiled(value)
    with pytest.raises(ScoresRefused, match=f"{fault}.*entity_id = 7, shop = shop 0"):
        write_partition(connection, PARTITION, **arguments(kind=kind, score=score))
    assert recorded_rows(connection) == (0, 0, 0)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_a_wrong_expected_error_is_refused_by_key(connection, value):
    make_scoring_set(connection, 100, "regression")
    score = with_errors(spoiled(0.5), [0.0, None] * 4 + [value] + [1.0] * 91)
    with pytest.raises(ScoresRefused, match=r"expected_absolute_error.*entity_id = 8"):
        write_partition(connection, PARTITION, **arguments(kind="regression", score=score))
    assert recorded_rows(connection) == (0, 0, 0)


def test_the_expected_errors_of_a_regression_are_written_beside_its_scores(connection):
    make_scoring_set(connection, 4, "regression")
    score = with_errors(lambda batch: {"score": batch["share"]}, [0.0, None, 2.5, 1.0])
    write_partition(connection, PARTITION, **arguments(kind="regression", score=score))
    assert connection.execute(
        "select score, expected_absolute_error from recorded.predictions_toy order by entity_id"
    ).fetchall() == [(0.0, 0.0), (0.25, None), (0.5, 2.5), (0.75, 1.0)]


def test_a_regression_without_the_expected_errors_is_refused(connection):
    make_scoring_set(connection, 4, "regression")
    with pytest.raises(ScoresRefused, match="takes score, expected_absolute_error"):
        write_partition(connection, PARTITION, **arguments(kind="regression"))


def test_a_wrong_score_in_a_later_block_leaves_the_older_partition_whole(scoring_set):
    make_scoring_set(scoring_set, 10_000)
    write_partition(scoring_set, PARTITION, **arguments())
    blocks = itertools.count(1)  # next() is atomic: blocks are scored on several threads

    def score(batch):
        return spoiled(float("nan") if next(blocks) == 3 else 0.5)(batch)

    with pytest.raises(ScoresRefused):
        write_partition(
            scoring_set,
            PARTITION,
            **arguments(score=score, model_sha256="b" * 64, batch_rows=2048),
        )
    assert epochs(scoring_set) == [("toy-v1-2017-09-03-e1", 10_000)]
    assert recorded_rows(scoring_set) == (10_000, 1, 1)


@pytest.mark.parametrize(
    ("scores", "fault"),
    [
        (lambda batch: {"score": batch["share"][1:]}, "returned 999 values of score for 1000 rows"),
        (lambda batch: {"scores": batch["share"]}, "returned the columns scores; a binary task"),
        (lambda batch: {}, "returned the columns ; a binary task takes score"),
    ],
    ids=["too few", "another name", "none"],
)
def test_a_wrong_answer_is_refused_and_nothing_is_written(scoring_set, scores, fault):
    with pytest.raises(ScoresRefused, match=fault):
        write_partition(scoring_set, PARTITION, **arguments(score=scores))
    assert recorded_rows(scoring_set) == (0, 0, 0)


def test_an_error_of_the_scoring_function_passes_through_and_nothing_is_written(scoring_set):
    def score(batch):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_partition(scoring_set, PARTITION, **arguments(score=score))
    assert recorded_rows(scoring_set) == (0, 0, 0)
    assert write_partition(scoring_set, PARTITION, **arguments()).epoch == 1


def classes(first):
    """Return a multiclass answer in which class `a` has the probabilities given."""
    offsets = pa.array(np.arange(0, 2 * len(first) + 1, 2), pa.int32())
    names = pa.array(["a", "b"] * len(first))
    both = pa.array(np.column_stack([first, 1 - first]).ravel())
    return {
        "score": pa.array(np.maximum(first, 1 - first)),
        "predicted_class": pa.array(np.where(first >= 0.5, "a", "b").tolist()),
        "class_scores": pa.MapArray.from_arrays(offsets, names, both),
    }


def test_class_scores_are_written_as_a_map(connection):
    make_scoring_set(connection, 100, "multiclass")
    score = lambda batch: classes(batch["share"].to_numpy())  # noqa: E731
    write_partition(connection, PARTITION, **arguments(kind="multiclass", score=score))
    assert connection.execute(
        "select score, predicted_class, class_scores from recorded.predictions_toy"
        " where entity_id = 1"
    ).fetchall() == [(0.75, "b", {"a": 0.25, "b": 0.75})]


@pytest.mark.parametrize("wrong", [0.5, float("nan")])
def test_class_scores_that_do_not_sum_to_one_are_refused_by_key(connection, wrong):
    make_scoring_set(connection, 100, "multiclass")

    def score(batch):
        answer = classes(batch["share"].to_numpy())
        values = answer["class_scores"].items.to_numpy().copy()
        values[14] += wrong  # class a of the row at 7
        answer["class_scores"] = pa.MapArray.from_arrays(
            answer["class_scores"].offsets, answer["class_scores"].keys, pa.array(values)
        )
        return answer

    with pytest.raises(ScoresRefused, match=r"gave 1 of 100 rows class scores.*entity_id = 7"):
        write_partition(connection, PARTITION, **arguments(kind="multiclass", score=score))
    assert recorded_rows(connection) == (0, 0, 0)


def test_an_empty_period_is_refused_and_nothing_is_written(scoring_set):
    with pytest.raises(NoRows):
        write_partition(
            scoring_set, replace(PARTITION, as_of_date=AS_OF.replace(day=10)), **arguments()
        )
    assert recorded_rows(scoring_set) == (0, 0, 0)


def test_a_repeated_key_is_refused_and_nothing_is_written(scoring_set):
    scoring_set.execute(
        "insert into scoring_sets.score_toy_v1"
        " select * from scoring_sets.score_toy_v1 where entity_id = 3"
    )
    with pytest.raises(KeysRefused):
        write_partition(scoring_set, PARTITION, **arguments())
    assert recorded_rows(scoring_set) == (0, 0, 0)


def test_a_table_of_other_columns_is_not_altered(scoring_set):
    with pytest.raises(WarehouseError, match="recorded predictions are not altered"):
        create_predictions_table(scoring_set, "toy", {"entity_id": "bigint"}, "binary")
    with pytest.raises(WarehouseError, match="kind 'ranking'; accepted are binary, regression"):
        create_predictions_table(scoring_set, "rank", {"entity_id": "bigint"}, "ranking")


def test_two_threads_that_write_one_partition_never_write_it_twice(scoring_set):
    meeting = threading.Barrier(2, timeout=30)
    outcomes = []

    def score(batch):
        meeting.wait()  # both are inside their transactions
        return {"score": batch["share"]}

    def run(role):
        with open_warehouse() as connection:
            try:
                partition = replace(PARTITION, role=role)
                outcomes.append(write_partition(connection, partition, **arguments(score=score)))
            except PartitionBusy as error:
                outcomes.append(error)

    threads = [threading.Thread(target=run, args=[role]) for role in ("champion", "challenger")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lost = [outcome for outcome in outcomes if isinstance(outcome, PartitionBusy)]
    assert len(lost) == 1, outcomes
    assert "is being written by another run" in str(lost[0])
    assert recorded_rows(scoring_set) == (1000, 1, 1)


def test_a_writer_that_finds_the_lease_taken_is_told_so_at_once(scoring_set):
    write_partition(scoring_set, PARTITION, **arguments())
    rival_came = []

    def rival(batch):
        with open_warehouse() as other, pytest.raises(PartitionBusy):
            write_partition(
                other, PARTITION, **arguments(score=rival_came.append, model_sha256="c" * 64)
            )
        return {"score": batch["share"]}

    run = write_partition(scoring_set, PARTITION, **arguments(score=rival, model_sha256="b" * 64))
    assert rival_came == []  # it scored nothing before it was refused
    assert run.epoch == 2
    assert recorded_rows(scoring_set) == (1000, 2, 1)


def judge_of(connection, folder, kind):
    """Return a judge of the partition, by the rules of a kind of task."""
    return lambda row_count: judge_predictions(
        connection,
        task="toy",
        as_of_date=AS_OF,
        model_version=1,
        kind=kind,
        entity_key=["entity_id", "shop"],
        expected_row_count=row_count,
        folder=folder,
    )


def doubled(batch):
    scores = {"score": pa.array(batch["share"].to_numpy() * 2)}
    return with_errors(lambda _: scores)(batch)


def validations(connection):
    return connection.execute(
        "select checked_row_count, failed_expectations, is_passed from recorded.validations"
        " order by recorded_at"
    ).fetchall()


def test_a_failed_judgement_leaves_no_prediction_and_no_manifest_row(connection, tmp_path):
    make_scoring_set(connection, 1000, "regression")
    judge = judge_of(connection, tmp_path, "binary")  # 250 scores are 1.5
    with pytest.raises(JudgementFailed, match=r"score_in_range .*; 250 rows are kept"):
        write_partition(
            connection, PARTITION, **arguments(kind="regression", score=doubled, judge=judge)
        )
    assert recorded_rows(connection) == (0, 0, 0)
    assert validations(connection) == [(1000, ["score_in_range"], False)]
    assert connection.execute(
        "select broken_rules, count(*) from quarantine.judged_rows group by all"
    ).fetchall() == [(["score_in_range"], 250)]
    judge = judge_of(connection, tmp_path, "regression")
    write_partition(
        connection, PARTITION, **arguments(kind="regression", score=doubled, judge=judge)
    )
    assert recorded_rows(connection) == (1000, 1, 1)
    assert validations(connection)[1:] == [(1000, [], True)]


def test_a_failed_judgement_leaves_the_older_partition_whole(connection, tmp_path):
    make_scoring_set(connection, 1000, "regression")
    judge = judge_of(connection, tmp_path, "binary")
    score = with_errors(lambda batch: {"score": batch["share"]})
    given = arguments(kind="regression", judge=judge, score=score)
    write_partition(connection, PARTITION, **given)
    with pytest.raises(JudgementFailed):
        write_partition(connection, PARTITION, **given | {"score": doubled, "engine": "sql"})
    assert epochs(connection) == [("toy-v1-2017-09-03-e1", 1000)]
    assert recorded_rows(connection) == (1000, 1, 1)
    assert write_partition(connection, PARTITION, **given).is_skipped


def test_predictions_are_seen_by_others_only_once_judged(scoring_set):
    seen = []

    def judge(row_count):
        with open_warehouse() as other:
            seen.append((row_count, recorded_rows(other)))

    write_partition(scoring_set, PARTITION, **arguments(judge=judge))
    assert seen == [(1000, (0, 0, 0))]
    assert recorded_rows(scoring_set) == (1000, 1, 1)


def test_the_memory_limit_is_lifted_again_after_success_and_failure(scoring_set):
    limit = "select current_setting('memory_limit')"
    before = scoring_set.execute(limit).fetchall()
    seen = []

    def score(batch):
        seen.append(scoring_set.cursor().execute(limit).fetchall())
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_partition(scoring_set, PARTITION, **arguments(score=score))
    write_partition(scoring_set, PARTITION, **arguments())
    assert seen[0] != before
    assert scoring_set.execute(limit).fetchall() == before
