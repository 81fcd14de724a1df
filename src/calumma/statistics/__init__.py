"""How sure a number is: intervals for what an evaluation counts and measures. No I/O.

Every number that a person decides on carries an interval, because twenty images and twenty
thousand deserve different trust. The functions here take counts or samples and give an
:class:`~calumma.statistics.intervals.Interval`; with no data the interval is everything that is
possible, never a point.

Most are for **one look** at data whose amount was fixed beforehand. Looking again and again at a
growing canary, and stopping when the answer pleases, makes a 95% interval miss far more often than
one time in twenty. What may be looked at whenever one likes, or as often as was planned, is said to
be so:

- :mod:`~calumma.statistics.designs`: two arms followed look by look, planned up to a number of
  observations and valid beyond it. Arms such as a canary and the stable revision are
  :mod:`~calumma.statistics.windows` of events, :mod:`~calumma.statistics.means` of costs, or
  :func:`pairs.follow <calumma.statistics.pairs.follow>`, with :mod:`~calumma.statistics.arms`.
- :mod:`~calumma.statistics.proportions`, :mod:`~calumma.statistics.quantiles`,
  :mod:`~calumma.statistics.splits`: one proportion, latencies, the division of requests.
- :mod:`~calumma.statistics.mixtures`: the evidence behind them, and bounds from it;
  :mod:`~calumma.statistics.boundaries` has bounds in closed form;
  :mod:`~calumma.statistics.groups`: tests with a planned number of looks.

For one look:

- :mod:`~calumma.statistics.intervals`: proportions and their differences, in closed form.
- :mod:`~calumma.statistics.counts`: how many came, in closed form.
- :mod:`~calumma.statistics.exact`, :mod:`~calumma.statistics.categories`: small counts, and mixes.
- :mod:`~calumma.statistics.weighted`, :mod:`~calumma.statistics.clusters`,
  :mod:`~calumma.statistics.pairs`: samples that are not plain.
- :mod:`~calumma.statistics.ranks`: how much later one sample comes than another.
- :mod:`~calumma.statistics.bootstrap`: everything else (means, quantiles), by resampling;
  :mod:`~calumma.statistics.blocks` where neighbours in time resemble each other.

Next room: :mod:`calumma.scoring`, which turns answers into metrics with these intervals.
"""
