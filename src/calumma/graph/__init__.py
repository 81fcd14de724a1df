"""The router of an InferenceGraph: one process a graph, between its callers and its services.

:mod:`~calumma.graph.definition` is the graph as it was declared, checked;
:mod:`~calumma.graph.evaluation` says what becomes of a request, and asks the services through a
function that it is given; conditions are GJSON paths, which :mod:`~calumma.graph.syntax` reads and
:mod:`~calumma.graph.gjson` evaluates. None of these does input or output.
:mod:`~calumma.graph.services` asks over HTTP, :mod:`~calumma.graph.server` is asked.
``python -m calumma.graph`` is the program that stands for KServe's image ``kserve/router``.

Source: kserve ``cmd/router/main.go`` (2026-08). :mod:`calumma.cluster.kserve.graph` decides when a
graph has a router, and where its steps lead.
"""
