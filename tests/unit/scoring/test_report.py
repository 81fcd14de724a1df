"""The report and its page: complete, the same each time, and asking the network for nothing."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from calumma.scoring import cases, figures, gates, metrics, page, report

from .conftest import Make


@pytest.fixture
def found(make: Make) -> report.Report:
    """A report over a few hundred answers, some wrong, some failed."""
    answers = [make(str(i % 4), str(i % 4) if i % 9 else "3", 0.5 + i / 1000) for i in range(300)]
    answers += [make("2", None, failure="status 503")] * 3
    accuracy, recalls = metrics.accuracy(answers), metrics.recalls(answers)
    demanded = [gates.Gate("accuracy", gates.Bound.AT_LEAST, 0.8, minimum=100)]
    latency = metrics.latency(answers, 0.5, seed=1)
    return report.Report(
        title="Offline evaluation of <digits>",
        question="Is it good enough?",
        decision=gates.judge(demanded, [accuracy]),
        tables=(
            report.Table("Quality", "On held-out images.", (accuracy, *recalls)),
            report.Table("Nothing", "Not measured.", (metrics.accuracy([]),)),
        ),
        figures=(
            report.Figure("confusion", "Who is who", figures.confusion(metrics.confusion(answers))),
            report.Figure("recalls", "Per class", figures.intervals(recalls, 0.8, "recall")),
        ),
        subject={"service": "digits", "revision": "digits-predictor-00001"},
        parameters={"service": "digits", "minimum_accuracy": 0.8, "seed": 1},
        data={
            "name": "digits",
            "cases": 303,
            "sha256": cases.digest(answer.case for answer in answers),
        },
        environment={"commit": None, "packages": {"numpy": "1.26.4"}},
        times=report.Times(
            "2026-01-02T03:04:05Z", 12.5, report.Table("Latency", "From intent.", (latency,))
        ),
    )


def test_the_same_evaluation_gives_the_same_bytes(found: report.Report, make: Make) -> None:
    assert report.document(found) == report.document(replace(found))
    assert page.render(found) == page.render(replace(found))
    answers = [make("1", "1"), make("0", "1")]
    drawn = [figures.confusion(metrics.confusion(answers)) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_only_times_depend_on_the_clock(found: report.Report) -> None:
    later = replace(found, times=replace(found.times, started="2027-01-01T00:00:00Z", seconds=9.0))
    ours, theirs = json.loads(report.document(found)), json.loads(report.document(later))
    assert ours.pop("times") != theirs.pop("times")
    assert ours == theirs


def test_the_document_has_what_a_reader_needs(found: report.Report) -> None:
    content = json.loads(report.document(found))
    assert content["verdict"] == "pass" and content["sentence"].startswith("pass")
    assert content["gates"][0]["reason"].startswith("accuracy is ")
    (quality, nothing) = content["metrics"]
    accuracy = quality["metrics"][0]
    assert (accuracy["count"], accuracy["n"]) == (274, 303)
    assert accuracy["interval"]["level"] == 0.95
    assert accuracy["interval"]["low"] < accuracy["value"] < accuracy["interval"]["high"]
    assert nothing["metrics"][0]["value"] is None
    assert content["times"]["metrics"][0]["metrics"][0]["unit"] == "ms"
    assert content["figures"][0] == {"file": "figures/confusion.png", "caption": "Who is who"}
    for key in ("subject", "parameters", "data", "environment", "question", "title", "format"):
        assert content[key]


class Page(HTMLParser):
    """Text, addresses, and whether all tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_is_whole_and_asks_the_network_for_nothing(found: report.Report) -> None:
    text = page.render(found)
    parsed = Page()
    parsed.feed(text)
    assert parsed.open == []
    assert len(parsed.addresses) == 2
    assert all(address.startswith("data:image/png;base64,") for address in parsed.addresses)
    assert not re.search(r"https?://|@import|url\(", text)
    shown = " ".join(parsed.text)
    assert "Offline evaluation of <digits>" in shown
    assert shown.index("pass") < shown.index("What was demanded") < shown.index("Quality")
    assert "274 of 303" in shown and "no data" in shown


@pytest.mark.parametrize("count", [10, 250])
def test_a_verdict_that_is_not_pass_gives_its_reasons_first(
    found: report.Report, count: int
) -> None:
    gate = gates.Gate("accuracy", gates.Bound.AT_LEAST, 0.85)
    decision = gates.judge([gate], [metrics.proportion("accuracy", count, 300)])
    text = page.render(replace(found, decision=decision))
    assert f'<div class="verdict {decision.verdict}">' in text
    assert f"<p>Accuracy is {count / 300:.3f}" in text


def test_figures_are_pictures_also_of_little_or_odd_data(make: Make) -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 128).save(buffer, "PNG")
    readable = cases.Answer(cases.Case("x", buffer.getvalue(), "1"), "7", 0.9, 0.1, None, None)
    drawn = [
        figures.confusion(metrics.confusion([])),
        figures.intervals([], None, "recall"),
        figures.intervals([metrics.accuracy([])], 0.5, "recall"),
        figures.latencies({"stable": [], "canary": [0.01, 0.02]}),
        figures.wrong_answers([]),
        figures.wrong_answers([readable, make("1", "2")] * 4),
        figures.series({}, "requests a second"),
        figures.series({"stable": [(0.0, 1.0), (2.0, 3.0)]}, "requests a second"),
    ]
    for png in drawn:
        with Image.open(io.BytesIO(png)) as image:
            assert image.format == "PNG" and image.width > 300
