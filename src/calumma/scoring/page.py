"""The report as one HTML page, for the person who must decide.

The verdict comes first, then what was demanded, what was measured, and last what it was measured
on and with. The page holds its figures and style itself, asks the network for nothing, and prints.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterable, Mapping
from typing import Any

from calumma.scoring import gates, metrics, report

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "Liberation Sans", Arial, sans-serif; color: #1f2933;
  background: #fff; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #cbd2d9; }
h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
p { margin: .4rem 0; }
.question, figcaption, .note { color: #52606d; }
.verdict { border-left: .5rem solid; padding: .6rem 1rem; margin: 1rem 0; background: #f5f7fa; }
.verdict b { font-size: 1.3rem; text-transform: uppercase; letter-spacing: .03em; }
.pass { color: #2b6a1e; } .fail { color: #a8321a; } .inconclusive { color: #8a5a00; }
.error, .killed { color: #a8321a; }
.verdict p { color: #1f2933; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid #e4e7eb;
  vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.word { font-weight: bold; white-space: nowrap; }
figure { margin: 1rem 0; break-inside: avoid; }
img { max-width: min(100%, 42rem); height: auto; }
code { font-family: ui-monospace, "Liberation Mono", monospace; font-size: .85rem;
  overflow-wrap: anywhere; }
@media print { body { margin: 0; max-width: none; } .verdict { background: none; } }
"""


def render(found: report.Report) -> str:
    """The page's text."""
    verdict = found.decision.verdict
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f"<title>{_text(found.title)}: {verdict}</title>",
            f"<style>{STYLE}</style></head><body>",
            f"<h1>{_text(found.title)}</h1>",
            f'<p class="question">{_text(found.question)}</p>',
            f'<div class="verdict {verdict}"><b>{verdict}</b>{_why(found.decision)}</div>',
            "<h2>What was demanded</h2>",
            rulings(found.decision.rulings),
            "<h2>What was measured</h2>",
            *(table(entry) for entry in (*found.tables, *found.times.tables)),
            "<h2>Figures</h2>" if found.figures else "",
            *(_figure(figure) for figure in found.figures),
            "<h2>What was evaluated, with what</h2>",
            _facts("Service", found.subject),
            _facts("Data", found.data),
            _facts("Parameters", found.parameters),
            _facts("Environment", found.environment),
            _facts("Time", {"started": found.times.started, "seconds": found.times.seconds}),
            "</body></html>\n",
        ]
    )


def _why(decision: gates.Decision) -> str:
    reasons = [ruling.reason for ruling in decision.rulings if ruling.verdict is decision.verdict]
    if decision.verdict is gates.Verdict.PASS or not reasons:
        return f"<p>{_text(decision.sentence.partition(': ')[2].capitalize())}.</p>"
    return "".join(f"<p>{_text(reason[0].upper() + reason[1:])}.</p>" for reason in reasons)


def rulings(found: Iterable[gates.Ruling]) -> str:
    """What each gate demanded and found, as an HTML table."""
    rows = [
        f'<tr><td class="word {ruling.verdict}">{ruling.verdict}</td>'
        f"<td>{_text(str(ruling.gate))}</td><td>{_text(ruling.reason)}</td></tr>"
        for ruling in found
    ]
    head = "<tr><th>Verdict</th><th>Demand</th><th>Found</th></tr>"
    return f"<table>{head}{''.join(rows)}</table>"


def table(found: report.Table) -> str:
    """Metrics with their intervals, as an HTML table under its title and note."""
    head = (
        '<tr><th>Metric</th><th class="number">Value</th><th class="number">Interval</th>'
        f'<th class="number">n</th>{"<th>Remark</th>" if found.remarks else ""}</tr>'
    )
    rows = "".join(_metric(metric, found.remarks.get(metric.name, "")) for metric in found.metrics)
    note = f'<p class="note">{_text(found.note)}</p>'
    return f"<h3>{_text(found.title)}</h3>{note}<table>{head}{rows}</table>"


def _metric(metric: metrics.Metric, remark: str = "") -> str:
    digits = 1 if metric.unit and abs(metric.value or 0) >= 1 else 3
    value, interval = "no data", ""
    if metric.value is not None:
        least = 10.0**-digits
        value = f"{metric.value:.{digits}f} {metric.unit}".strip()
        if 0 < metric.value < least / 2:  # a p-value is never 0
            value = f"< {least:.{digits}f} {metric.unit}".strip()
    if metric.value is not None and metric.interval is not None:
        low, high = metric.interval
        level = "" if metric.level == 0.95 else f" ({100 * metric.level:g}%)"
        interval = f"{low:.{digits}f} to {high:.{digits}f}{level}"
    n = str(metric.n) if metric.count is None else f"{metric.count} of {metric.n}"
    cells = "".join(f'<td class="number">{_text(cell)}</td>' for cell in (value, interval, n))
    beside = f"<td>{_text(remark)}</td>" if remark else ""
    return f"<tr><td>{_text(metric.name)}</td>{cells}{beside}</tr>"


def _figure(figure: report.Figure) -> str:
    data = base64.b64encode(figure.png).decode()
    caption = _text(figure.caption)
    return (
        f'<figure><img alt="{caption}" src="data:image/png;base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _facts(title: str, facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{_text(name)}</td><td><code>{_text(_value(value))}</code></td></tr>"
        for name, value in facts.items()
    )
    return f'<table><tr><th colspan="2">{_text(title)}</th></tr>{rows}</table>'


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(text: str) -> str:
    return html.escape(text)
