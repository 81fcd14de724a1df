"""Suites: what is evaluated of a service, how, and what is demanded, in one file that people read.

A suite is a YAML document in ``evaluation/suites/``. It names a service and has a section for each
notebook that should look at it: ``offline``, ``detection``, ``online``, ``load``, ``drift``,
``business``. A section says what the notebook cannot know by itself (the data, the slices, the
patterns of load, the value model) and what is demanded; the notebook reads its own section, so
that ``papermill`` alone and ``calumma evaluate`` do the same.

- :mod:`~calumma.evaluation.document`: YAML that is checked, with a sentence for every mistake.
- :mod:`~calumma.evaluation.section`: what all sections have.
- :mod:`~calumma.evaluation.answers`: answers kept as a table, to be judged again.
- a module for each section, and :mod:`~calumma.evaluation.suite`, which puts them together.

Next room: the notebooks in ``evaluation/``, and :mod:`calumma.evidence` for what they leave.
"""
