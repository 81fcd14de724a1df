"""What a service is worth to the people who use it, and how sure that is. No I/O.

Accuracy says how often a model is right. Whoever decides asks something else: how much time does
it save, what is missed with it that was not missed before, and does it pay? The answer rests on two
kinds of numbers. *Measured* ones (which class is taken for which, how sure the model was, who used
it) carry sampling error. *Assumed* ones (what a minute costs, how often a person alone misses
something) carry the range that their author still believes, and a source, beside the number. Both
go into every interval, and a report shows them apart: more images narrow one part only.

- :mod:`~calumma.business.assumptions`: a number with its range and its source.
- :mod:`~calumma.business.valuemodel`: the assumptions of one application, checked together.
- :mod:`~calumma.business.tally`: what was measured, as counts, and what they leave plausible.
- :mod:`~calumma.business.consequences`: from shares and assumptions to minutes, misses and money.
- :mod:`~calumma.business.estimate`: the Monte Carlo over both, and the metrics.
- :mod:`~calumma.business.sensitivity`: tornado, break-even, and the threshold of acceptance.
- :mod:`~calumma.business.readers`: what several people said about the same cases.
- :mod:`~calumma.business.policies`: what would be missed if they followed the model, and when.
- :mod:`~calumma.business.multireader`: intervals over readers and cases; agreement.
- :mod:`~calumma.business.usage`: who uses a service, how often, and who comes back.
- :mod:`~calumma.business.figures`: pictures for the report.

Next room: ``evaluation/business.ipynb`` and the section ``business`` of a suite.
"""
