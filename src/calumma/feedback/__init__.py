"""Predictions that were made for users, and the labels that come later.

In production nobody knows the right answer when the prediction is made. A reader says it a day
later, for some of the predictions, and two readers may not agree. This room keeps both sides, adds
to them and never changes them, and joins them as of a time: what is not labelled is unknown, and
never wrong.

- :mod:`~calumma.feedback.records`: a prediction, and what somebody said of it.
- :mod:`~calumma.feedback.folder`: both as lines of JSON on disk, images beside them.
- :mod:`~calumma.feedback.joining`: which prediction has which label, as of a time. Pure.
- :mod:`~calumma.feedback.estimation`: accuracy from it, the sample's weights minded. Pure.
- :mod:`~calumma.feedback.exchange`: KServe's logged events become predictions. Pure.
- :mod:`~calumma.feedback.receiver`: the server that takes events and labels;
  ``python -m calumma.feedback`` runs it.

Next room: :mod:`calumma.canary`, which compares two revisions by it.
"""
