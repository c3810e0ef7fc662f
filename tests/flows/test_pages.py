"""The tasks' pages: what a person sees is what the warehouse holds, and no network is needed."""

import json
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import duckdb
import pytest
import yaml

from flows.pages import charts, judged, words, write_page
from tests.conftest import PROJECT

SECTIONS = [
    *("Quality over time", "Drift", "Champion against challenger"),
    *("Versions, promotions and rollbacks", "The last decision's checks", "Calibration"),
    "Online rollout",
]
VOID = {"meta", "link", "br", "hr", "img", "input", "path", "rect", "circle"}


class Page(HTMLParser):
    """A page taken apart: balance, headings, addresses, charts, words."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[str] = []
        self.addresses: list[str] = []
        self.unlabelled: list[str] = []
        self.charts: list[dict] = []
        self.words: list[str] = []
        self.language: str | None = None
        self.in_chart = False
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.addresses += [
            value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")
        ]
        if tag == "html":
            self.language = given.get("lang")
        if given.get("role") == "img" and not given.get("aria-label"):
            self.unlabelled.append(tag)
        self.in_chart = tag == "script" and given.get("type") == "application/json"
        if tag == "h2":
            self.headings.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
            self.open.pop()

    def handle_data(self, data):
        if self.in_chart and self.open[-1] == "script":
            self.charts.append(json.loads(data))
        elif self.open and self.open[-1] == "h2":
            self.headings[-1] += data
        if not self.open or self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture
def warehouse(state: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WEIGHHOUSE_HOME", str(state))
    with duckdb.connect(str(state / "warehouse.duckdb")) as connection:
        yield connection


@pytest.mark.slow
def test_a_lived_in_page_shows_every_section_and_what_was_decided(warehouse) -> None:
    path = write_page(warehouse, "household_churn")
    text = path.read_text()
    page = Page(text)
    assert path.name == "household_churn.html"
    assert page.language == "en"
    assert page.unlabelled == []
    assert [heading for heading in page.headings if heading in SECTIONS] == SECTIONS
    assert len(page.charts) >= 3
    newest = warehouse.execute(
        """
        select decision_id, verdict, reason_codes from decisions.decide_champion
        where task = 'household_churn' order by as_of_date desc, challenger_version limit 1
        """
    ).fetchone()
    assert newest[0] in text
    assert f"Verdict {newest[1]} ," in page.text or f"Verdict {newest[1]}," in page.text
    assert words.reasons(newest[2]) in page.text
    checked, sentences = warehouse.execute(
        """
        select any_value(decisions.decision_id), list(checks.sentence)
        from decisions.decide_champion as decisions
        inner join decisions.decide_checks as checks using (task, as_of_date, challenger_version)
        where (task, as_of_date, challenger_version) = (
            select (task, as_of_date, challenger_version) from decisions.decide_checks
            where task = 'household_churn' order by as_of_date desc, challenger_version limit 1
        )
        """
    ).fetchone()
    assert checked in page.text
    for sentence in sentences:
        assert " ".join(words.finding(sentence).split()) in page.text


@pytest.mark.slow
def test_no_page_names_a_place_outside_itself_and_the_docs(warehouse) -> None:
    for task in ("household_churn", "flight_delay"):
        text = write_page(warehouse, task).read_text()
        page = Page(text)
        assert set(page.addresses) <= {"index.html", "data:,"}
        assert not re.search(r"@import|url\(", text.split("</style>")[0])
        assert "http" not in json.dumps(page.charts)
        assert "</body>" in text.splitlines()[-2]


@pytest.mark.slow
def test_a_task_with_nothing_decided_says_so_in_every_section(warehouse) -> None:
    page = Page(write_page(warehouse, "flight_delay").read_text())
    assert "Nothing decided yet" in page.text
    assert page.text.count("Not yet known") >= 8
    assert page.charts == []
    assert [heading for heading in page.headings if heading in SECTIONS] == SECTIONS


@pytest.mark.slow
def test_what_a_person_wrote_is_shown_as_words_and_never_run(warehouse) -> None:
    warehouse.execute(
        """
        insert into recorded.promotions
        select 'by-hand', task, 99, as_of_date, effective_from_date, 'override', model_version,
            null, null, 'Ann <b>', '</script><script>alert(1)</script>', recorded_at
        from recorded.promotions where task = 'household_churn' and act_number = 1
        """
    )
    text = write_page(warehouse, "household_churn").read_text()
    page = Page(text)
    assert "alert(1)" in page.text
    assert "<script>alert" not in text


@pytest.mark.slow
def test_a_missing_table_stops_the_page_and_leaves_the_old_one(warehouse) -> None:
    path = write_page(warehouse, "household_churn")
    before = path.read_bytes()
    warehouse.execute("alter table recorded.promotions rename to promotions_gone")
    with pytest.raises(duckdb.CatalogException, match="promotions"):
        write_page(warehouse, "household_churn")
    assert path.read_bytes() == before
    assert list(path.parent.glob("*.aside")) == []


@pytest.mark.slow
def test_an_unknown_task_is_refused_by_name(warehouse) -> None:
    with pytest.raises(LookupError, match="no task 'churn'"):
        write_page(warehouse, "churn")


def test_every_verdict_reason_and_check_of_the_decisions_has_words() -> None:
    codes, checks, verdicts = set(), set(), set()
    for file in (PROJECT / "dbt_project/models").rglob("decide_*.yml"):
        for sql_model in yaml.safe_load(file.read_text())["models"]:
            for test in sql_model.get("data_tests", []):
                sound = test.get("columns_are_sound", {}) if isinstance(test, dict) else {}
                given = sound.get("arguments", {})
                codes |= set(given.get("accepted_codes", {}).get("reason_codes", []))
                if sql_model["name"] == "decide_checks":
                    checks |= set(given.get("accepted", {}).get("check_name", []))
                verdicts |= set(given.get("accepted", {}).get("verdict", []))
    assert codes
    assert checks
    assert codes - set(words.REASONS) == set()
    assert checks - set(words.CHECKS) == set()
    assert verdicts - set(words.VERDICTS) == set()


def test_the_docs_overview_links_the_page_of_every_shipped_task() -> None:
    overview = (PROJECT / "dbt_project/models/overview.md").read_text()
    settings = yaml.safe_load((PROJECT / "dbt_project/dbt_project.yml").read_text())
    for task in settings["vars"]["tasks"]:
        assert f"[{task}]({task}.html)" in overview


def window(day: int, **more: object) -> dict:
    return {
        "model_version": 1,
        "role": "champion",
        "as_of_date": date(2017, 7, day),
        "status": "waiting",
        "metric_value": None,
        "lower_bound": None,
        "upper_bound": None,
        "row_count": 100,
        "labelled_count": 0,
        **more,
    }


def drawn(spec: dict) -> dict[tuple[str, bool | None], list[str]]:
    """The dates of each layer, by its mark and whether it is filled."""
    return {
        (layer["mark"]["type"], layer["mark"].get("filled")): [
            row["as_of_date"]
            for row in spec["datasets"][layer.get("data", spec.get("data"))["name"]]
        ]
        for layer in spec["layer"]
    }


def test_windows_without_labels_are_drawn_as_waiting_and_not_as_zero() -> None:
    spec = charts.quality_chart([window(2), window(9)], [], [], "log_loss", "words")
    assert drawn(spec) == {("tick", None): ["2017-07-02T00:00:00", "2017-07-09T00:00:00"]}


def test_an_immature_figure_is_drawn_hollow_and_outside_the_band() -> None:
    immature = window(9, status="immature", metric_value=0.4, labelled_count=50)
    mature = window(
        2, status="ok", metric_value=0.3, lower_bound=0.2, upper_bound=0.4, labelled_count=100
    )
    spec = charts.quality_chart([mature, immature], [], [], "log_loss", "words")
    assert drawn(spec)["area", None] == ["2017-07-02T00:00:00"]
    assert drawn(spec)["point", False] == ["2017-07-09T00:00:00"]


def test_the_boundary_of_a_rollback_holds_the_margin_beyond_its_interval() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            """
            create schema decisions;
            create table decisions.decide_champion as
            select
                'churn' as task, date '2017-07-02' as as_of_date, compared.*,
                1 as look_number, 4 as planned_looks, 'log_loss' as primary_metric,
                0.1 as primary_delta, 0.0 as primary_lower_bound, 0.2 as primary_upper_bound,
                2.0 as critical_value, 0.05 as primary_standard_error, 500 as row_count,
                'hold' as verdict, ['not_proven_better'] as reason_codes
            from (
                values (3, 2, 'challenger'), (1, 2, 'predecessor')
            ) as compared (challenger_version, champion_version, comparison);
            create table decisions.decide_checks as
            select decided.task, decided.as_of_date, decided.challenger_version, checks.*
            from decisions.decide_champion as decided
            inner join (
                values
                ('challenger', 'primary', 0.0),
                ('challenger', 'guardrail', -0.5),
                ('predecessor', 'rollback_primary', 0.01),
                ('predecessor', 'deterioration', 0.0)
            ) as checks (comparison, check_name, threshold) using (comparison)
            """
        )
        found = connection.execute(
            f"select challenger_version, boundary from ({judged.LOOKS})", {"task": "churn"}
        ).fetchall()
    # critical value * standard error = 2 * 0.05 = 0.1; a rollback adds its margin of 0.01
    assert [(version, round(float(boundary), 9)) for version, boundary in found] == [
        (3, 0.1),
        (1, 0.11),
    ]
