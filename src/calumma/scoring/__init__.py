"""How good a service's answers are, and whether that is good enough. No I/O.

An evaluation sends cases, gets answers, computes metrics, lets gates judge them, and leaves a
report. Each step here is a pure function of the one before, so that the same parameters and data
give the same report, byte for byte, times aside. Every metric carries how many answers it rests on
and an interval; a gate that cannot be sure says so instead of passing, and nothing passes on an
empty set.

- :mod:`~calumma.scoring.cases`: what is asked and what came back.
- :mod:`~calumma.scoring.metrics`: accuracy, recall, confusion, confidence, failures, latency.
- :mod:`~calumma.scoring.gates`: what is demanded of the metrics, and the verdict.
- :mod:`~calumma.scoring.report`: the content of ``report.json``.
- :mod:`~calumma.scoring.figures`: pictures for the report, as PNG bytes.
- :mod:`~calumma.scoring.page`: the report as a page for the person who decides.

Next room: :mod:`calumma.evidence`, which writes the report and turns its verdict into an exit.
"""
