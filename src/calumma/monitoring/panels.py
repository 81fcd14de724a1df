"""Dashboards in the house's form: sections of panels, with the same variables everywhere.

The files in ``dashboards/`` say what is shown; this room says how. Only Grafana's time series and
stat panels are used, both without Angular. Every panel has a title, a description for the reader
who meets it for the first time, and a unit. Built with grafanalib; its JSON is brought up to date
by :mod:`calumma.monitoring.dashboards`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grafanalib import core

from calumma.monitoring import vocabulary

SERVICE = 'namespace=~"$namespace",service=~"$service"'
WHERE = f'{SERVICE},revision=~"$revision"'
WINDOW = "$__rate_interval"
RANGE = "$__range"

_COLUMNS = 24
_HEIGHT = 8


@dataclass(frozen=True)
class Panel:
    """A panel of some width (of 24 columns) that is not yet placed."""

    content: Any
    width: int


@dataclass(frozen=True)
class Section:
    """Panels under a heading, placed from left to right and top to bottom."""

    title: str
    panels: Sequence[Panel]


def timeseries(
    title: str,
    description: str,
    unit: str,
    queries: Mapping[str, str],
    *,
    width: int = 12,
    stacked: bool = False,
    minimum: int | None = 0,
    maximum: int | None = None,
) -> Panel:
    """Lines over time. ``queries`` maps legends, such as ``{{revision}}``, to expressions."""
    content = core.TimeSeries(
        title=title,
        description=description,
        unit=unit,
        targets=_targets(queries),
        fillOpacity=30 if stacked else 0,
        stacking={"mode": "normal" if stacked else "none", "group": "A"},
        tooltipMode="multi",
        valueMin=minimum,
        valueMax=maximum,
    )
    return Panel(content, width)


def stat(
    title: str,
    description: str,
    unit: str,
    query: str,
    *,
    legend: str = "",
    width: int = 6,
    decimals: int | None = None,
    names: bool = False,
) -> Panel:
    """The latest value as a number, with its course behind it; one for each series.

    With ``names`` the legends are shown and not the values, for series that say something by being
    there.
    """
    content = core.Stat(
        title=title,
        description=description,
        format=unit,
        decimals=decimals,
        targets=_targets({legend: query}),
        reduceCalc="lastNotNull",
        colorMode="none",
        textMode="name" if names else "auto",
        noValue="no data",
    )
    return Panel(content, width)


def number(name: str, label: str, default: str) -> core.Template:
    """A number that a reader may change at the top of the dashboard, for use as ``$name``."""
    return core.Template(name=name, label=label, query=default, default=default, type="textbox")


def dashboard(
    title: str,
    uid: str,
    description: str,
    sections: Sequence[Section],
    numbers: Sequence[core.Template] = (),
) -> core.Dashboard:
    """A dashboard with variables for datasource, namespace, service and revision."""
    variables = [
        core.Template(name="datasource", label="Prometheus", query="prometheus", type="datasource"),
        _labels("namespace", vocabulary.REQUESTS),
        _labels("service", f'{vocabulary.REQUESTS}{{namespace=~"$namespace"}}'),
        _labels("revision", f"{vocabulary.REQUESTS}{{{SERVICE}}}"),
        *numbers,
    ]
    return core.Dashboard(
        title=title,
        uid=uid,
        description=description,
        tags=["calumma"],
        templating=core.Templating(variables),
        panels=_place(sections),
        time=core.Time("now-30m", "now"),
        refresh="10s",
        timezone="browser",
        graphTooltip=core.GRAPH_TOOLTIP_MODE_SHARED_CROSSHAIR,
    ).auto_panel_ids()


def _targets(queries: Mapping[str, str]) -> list[core.Target]:
    names = iter(string.ascii_uppercase)
    return [
        core.Target(expr=expression, legendFormat=legend, refId=next(names))
        for legend, expression in queries.items()
    ]


def _labels(label: str, series: str) -> core.Template:
    return core.Template(
        name=label,
        label=label.capitalize(),
        query=f"label_values({series}, {label})",
        allValue=".*",
        includeAll=True,
        multi=True,
        default="All",
    )


def _place(sections: Sequence[Section]) -> list[Any]:
    placed = []
    top = 0
    for section in sections:
        heading = core.RowPanel(title=section.title, gridPos=core.GridPos(1, _COLUMNS, 0, top))
        placed.append(heading)
        top, left = top + 1, 0
        for panel in section.panels:
            if left + panel.width > _COLUMNS:
                top, left = top + _HEIGHT, 0
            panel.content.gridPos = core.GridPos(_HEIGHT, panel.width, left, top)
            placed.append(panel.content)
            left += panel.width
        top += _HEIGHT
    return placed
