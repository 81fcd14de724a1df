"""A canary against the stable revision: what each answered, failed and took, and the difference.

Three sources say something of a canary, and each says what the others cannot. Requests that an
evaluation sends have labels at once, but are not the users'. Prometheus has counted all that users
asked, but knows no label. Feedback has users' requests with labels, but late and few. So each has
tables of its own here, and none is mixed with another.

- :mod:`~calumma.canary.counts`: what is counted of a revision, as a plain record.
- :mod:`~calumma.canary.comparison`: answers of both, alone and as pairs. Pure.
- :mod:`~calumma.canary.history`: feedback of both, from the same time and of the same age. Pure.
- :mod:`~calumma.canary.observation`: Prometheus' counts of both, compared.
- :mod:`~calumma.canary.traffic`: sends, through the split or as pairs.
- :mod:`~calumma.canary.figures`: pictures of it.

Next room: ``evaluation/online.ipynb``, which makes one look at a fixed amount of all this. The
records of :mod:`~calumma.canary.counts` in its report are what tests over a series of looks need.
"""
