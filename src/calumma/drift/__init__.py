"""Are the images still what they were, and is the model still right about them? No I/O.

A model is as good as it was only as long as what it is asked stays as it was. This room compares
images that a model answers now (*current*) with labelled images that it answered well
(*reference*). Every alarm has a chance of being false that is known beforehand, and is at most what
was asked for: ``benchmarks/drift.py`` measures it for each detector, and beside it the rules of
thumb that alarm whenever they feel like it.

What has changed?

- :mod:`~calumma.drift.features`: numbers from an image, and a vector.
- :mod:`~calumma.drift.kolmogorov`: one number at a time (inputs, and each class's probability).
- :mod:`~calumma.drift.kernel`, :mod:`~calumma.drift.classifier`: vectors.
- :mod:`~calumma.drift.categories`: the labels that the model gives.
- :mod:`~calumma.drift.martingale`: image by image, looked at as often as one likes.
- :mod:`~calumma.drift.detection`: what they all say, and how they share ``alpha``.

What does it mean for the answers, as long as nobody has labelled anything?

- :mod:`~calumma.drift.performance`, on :mod:`~calumma.drift.calibration`: the accuracy to expect.
- :mod:`~calumma.drift.label_shift`: the mix of classes, and the accuracy under it.
- :mod:`~calumma.drift.novelty`: images that the model was never meant for.

:mod:`~calumma.drift.battery` asks all detectors and :mod:`~calumma.drift.examination` does all of
it, on :mod:`~calumma.drift.sides`; :mod:`~calumma.drift.tables` and :mod:`~calumma.drift.figures`
show it. :mod:`~calumma.drift.rehearsal` counts false alarms on the user's own reference, beside the
rules of thumb in :mod:`~calumma.drift.thumb`, and :mod:`~calumma.drift.shifts` makes drift on
purpose.

Sources: S. Rabanser, S. Günnemann and Z. Lipton, Failing Loudly, NeurIPS 2019, which compares such
detectors and finds the model's own probabilities the best thing to look at.

Next room: :mod:`calumma.evaluation.drift` and ``evaluation/drift.ipynb``.
"""
