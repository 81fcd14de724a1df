"""The committed dashboards: what Grafana needs, and PromQL that Prometheus accepts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from calumma import errors
from calumma.monitoring import dashboards, panels

from .conftest import Promtool

DEFINITIONS = Path(__file__).parents[3] / "dashboards"
PATHS = sorted(DEFINITIONS.glob("*.dashboard.py"))
NAMES = [path.name for path in PATHS]
CURRENT = {"row", "stat", "timeseries"}


@pytest.fixture(params=PATHS, ids=NAMES)
def rendered(request: pytest.FixtureRequest) -> str:
    return dashboards.render(dashboards.load(request.param))


def test_both_dashboards_are_there() -> None:
    assert NAMES == ["business.dashboard.py", "technical.dashboard.py"]


def test_rendering_gives_the_same_bytes(rendered: str) -> None:
    again = {dashboards.render(dashboards.load(path)) for path in PATHS}
    assert rendered in again and len(again) == len(PATHS)


def test_every_expression_is_promql(rendered: str, promtool: Promtool) -> None:
    found = list(dashboards.expressions(rendered))
    assert len(found) >= 10
    variables = dashboards.everything(rendered)
    rules = [
        {"record": f"panel:{number}", "expr": dashboards.fill(expression, variables)}
        for number, (_, expression) in enumerate(found)
    ]
    promtool("check", "rules", content={"groups": [{"name": "dashboard", "rules": rules}]})


def test_it_imports_into_any_current_grafana(rendered: str) -> None:
    dashboard = json.loads(rendered)
    assert dashboard["id"] is None and dashboard["uid"].startswith("calumma-")
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["title"] and dashboard["description"]
    assert not {"rows", "__inputs", "sharedCrosshair", "hideControls"} & set(dashboard)
    variables = {entry["name"]: entry for entry in dashboard["templating"]["list"]}
    assert list(variables)[:4] == ["datasource", "namespace", "service", "revision"]
    assert variables["datasource"]["type"] == "datasource"
    for panel in dashboard["panels"]:
        assert panel["type"] in CURRENT
        if panel["type"] == "row":
            continue
        assert panel["title"] and panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["unit"]
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert sources == [{"type": "prometheus", "uid": "${datasource}"}] * len(sources)
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0


def test_panels_do_not_overlap_and_have_their_own_number(rendered: str) -> None:
    placed = json.loads(rendered)["panels"]
    cells: set[tuple[int, int]] = set()
    for panel in placed:
        grid = panel["gridPos"]
        mine = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert grid["x"] + grid["w"] <= 24
        assert not cells & mine
        cells |= mine
    assert len({panel["id"] for panel in placed}) == len(placed)


def test_numbers_that_a_reader_may_change_are_boxes() -> None:
    business = dashboards.render(dashboards.load(DEFINITIONS / "business.dashboard.py"))
    boxes: dict[str, Any] = {
        entry["name"]: entry["current"]["value"]
        for entry in json.loads(business)["templating"]["list"]
        if entry["type"] == "textbox"
    }
    assert boxes == {"objective": "0.99", "seconds_saved": "20"}
    chosen = dashboards.everything(business)
    assert {name: chosen[name] for name in boxes} == boxes
    assert chosen["namespace"] == chosen["service"] == chosen["revision"] == ".*"


def test_writing_renders_every_definition(tmp_path: Path) -> None:
    written = dashboards.write(DEFINITIONS, tmp_path / "out")
    assert [path.name for path in written] == ["business.json", "technical.json"]
    assert [path.read_text() for path in written] == [
        dashboards.render(dashboards.load(path)) for path in PATHS
    ]


def test_a_wide_section_wraps() -> None:
    wide = [panels.stat(str(n), "A number.", "short", "up", width=10) for n in range(3)]
    built = panels.dashboard("t", "u", "d", [panels.Section("s", wide)])
    places = [panel["gridPos"] for panel in json.loads(dashboards.render(built))["panels"]]
    assert [(place["x"], place["y"]) for place in places] == [(0, 0), (0, 1), (10, 1), (0, 9)]


def test_a_file_that_defines_no_dashboard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigurationError, match="no such file"):
        dashboards.load(tmp_path / "missing.dashboard.py")
    path = tmp_path / "empty.dashboard.py"
    path.write_text("nothing = 1\n")
    with pytest.raises(errors.ConfigurationError, match="defines no `dashboard`"):
        dashboards.load(path)


def test_a_variable_that_is_not_given_is_named() -> None:
    with pytest.raises(errors.ConfigurationError, match=r"uses \$pod; given are service"):
        dashboards.fill('up{pod="$pod"}', {"service": "digits"})
