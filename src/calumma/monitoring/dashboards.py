"""From a definition in ``dashboards/`` to the JSON that Grafana 10 and later imports.

grafanalib writes the JSON of an older Grafana: this room keeps what current Grafana reads, names
the datasource by a variable so that an import works in any Grafana, and sorts everything, so that
the same definition gives the same bytes.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from grafanalib import core

from calumma import errors

SUFFIX = ".dashboard.py"
SCHEMA_VERSION = 39

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
_PANEL = ("description", "fieldConfig", "gridPos", "id", "options", "title", "type")
_DASHBOARD = (
    "description",
    "editable",
    "graphTooltip",
    "refresh",
    "tags",
    "time",
    "timezone",
    "title",
    "uid",
)


class Expression(NamedTuple):
    """A query of a dashboard and the title of its panel."""

    panel: str
    expression: str


def load(path: Path) -> core.Dashboard:
    """Run a definition and take its ``dashboard``.

    Raises :class:`~calumma.errors.ConfigurationError` when the file defines none.
    """
    spec = importlib.util.spec_from_file_location(path.name.removesuffix(SUFFIX), path)
    if spec is None or spec.loader is None or not path.exists():
        raise errors.ConfigurationError(f"{path} is not a dashboard definition: no such file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, "dashboard", None)
    if not isinstance(found, core.Dashboard):
        raise errors.ConfigurationError(
            f"{path} defines no `dashboard`; it should end in `dashboard = panels.dashboard(...)`"
        )
    return found


def render(dashboard: core.Dashboard) -> str:
    """The dashboard as JSON text for Grafana's import, with a newline at its end."""
    old = json.loads(json.dumps(dashboard.to_json_data(), default=_to_json))
    new = {key: old[key] for key in _DASHBOARD}
    new |= {
        "id": None,
        "schemaVersion": SCHEMA_VERSION,
        "panels": [_panel(panel) for panel in old["panels"]],
        "templating": {"list": [_variable(entry) for entry in old["templating"]["list"]]},
    }
    return json.dumps(new, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(definitions: Path, into: Path) -> list[Path]:
    """Render every definition of a folder into another; the JSON files' paths."""
    into.mkdir(parents=True, exist_ok=True)
    written = []
    for path in sorted(definitions.glob(f"*{SUFFIX}")):
        target = into / f"{path.name.removesuffix(SUFFIX)}.json"
        target.write_text(render(load(path)), encoding="utf-8")
        written.append(target)
    return written


def expressions(rendered: str) -> Iterator[Expression]:
    """Every query of a rendered dashboard, variables and all."""
    for panel in json.loads(rendered)["panels"]:
        for target in panel.get("targets", []):
            yield Expression(panel["title"], target["expr"])


def everything(rendered: str) -> dict[str, str]:
    """Values for the variables of a rendered dashboard that select all there is, for :func:`fill`.

    Numbers have their defaults, rates are taken over a minute and the range is half an hour.
    """
    variables = json.loads(rendered)["templating"]["list"]
    return {
        **{entry["name"]: entry.get("allValue") or entry["query"] for entry in variables},
        "__rate_interval": "1m",
        "__range": "30m",
    }


def fill(expression: str, variables: Mapping[str, str]) -> str:
    """An expression with Grafana's variables filled in, as Grafana would before it asks.

    ``variables`` are given by name, Grafana's own ``__rate_interval`` and ``__range`` among them.
    Raises :class:`~calumma.errors.ConfigurationError` for one that is not given.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in variables:
            raise errors.ConfigurationError(
                f"the query {expression} uses ${name}; given are {', '.join(variables)}"
            )
        return variables[name]

    return re.sub(r"\$(\w+)", value, expression)


def _to_json(thing: Any) -> Any:
    return thing.to_json_data()


def _panel(old: dict[str, Any]) -> dict[str, Any]:
    if old["type"] == "row":
        kept = {key: old[key] for key in ("gridPos", "id", "title", "type")}
        return {**kept, "collapsed": False, "panels": []}
    new = {key: old[key] for key in _PANEL}
    defaults = new["fieldConfig"]["defaults"]
    defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": "text", "value": None}]}
    new["fieldConfig"]["defaults"] = {
        key: value for key, value in defaults.items() if value is not None
    }
    targets = [
        {
            "datasource": _DATASOURCE,
            "editorMode": "code",
            "expr": target["expr"],
            "legendFormat": target["legendFormat"] or "__auto",
            "range": True,
            "refId": target["refId"],
        }
        for target in old["targets"]
    ]
    return {**new, "datasource": _DATASOURCE, "targets": targets}


def _variable(old: dict[str, Any]) -> dict[str, Any]:
    new = {key: old[key] for key in ("label", "name", "query", "type")}
    if old["type"] == "textbox":
        value = {"selected": True, "text": old["query"], "value": old["query"]}
        return {**new, "current": value, "options": [value]}
    if old["type"] == "datasource":
        return {**new, "current": {}, "refresh": 1}
    return {
        **new,
        "allValue": old["allValue"],
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
        "datasource": _DATASOURCE,
        "definition": old["query"],
        "includeAll": old["includeAll"],
        "multi": old["multi"],
        "query": {"query": old["query"], "refId": old["name"]},
        "refresh": 2,
        "sort": 1,
    }
