"""Prometheus and what is asked of it: one set of queries for notebooks and dashboards.

A number on a dashboard and the same number in an evaluation come from the same expression, so that
they never differ. "No data" stays no data: it is never drawn or judged as zero.

- :mod:`~calumma.monitoring.prometheus`: where the server is, and installing it.
- :mod:`~calumma.monitoring.vocabulary`: one set of series, whatever counted the requests.
- :mod:`~calumma.monitoring.queries`: every PromQL expression, by name.
- :mod:`~calumma.monitoring.client`: asking a running server.
- :mod:`~calumma.monitoring.counting`: exact counts of each revision between two times.
- :mod:`~calumma.monitoring.textfile`: metrics that a program leaves in a file.
- :mod:`~calumma.monitoring.panels`: dashboards in the house's form, out of queries.
- :mod:`~calumma.monitoring.dashboards`: loading them and rendering Grafana's JSON.

Next room: the notebooks in ``evaluation/`` and the definitions in ``dashboards/``.
"""
