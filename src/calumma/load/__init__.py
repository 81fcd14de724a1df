"""Load as users make it: requests arrive when they arrive, however slow the service is.

A generator that waits for an answer before it sends the next request slows down together with the
service, and so reports a stall of a second as one slow request ("coordinated omission"). Here the
times are fixed beforehand, and a request's latency counts from the time it was *meant* to be sent:
a stall shows in every request that would have met it. Where the generator itself falls behind
(all of its connections busy, or its machine), the delay is part of the latency, and the summary
says how many requests it met: it is never silent.

- :mod:`~calumma.load.schedule`: when to send, and what; :mod:`~calumma.load.recording`: when people
  sent; :mod:`~calumma.load.patterns`: both as a suite declares them.
- :mod:`~calumma.load.generator`: sends, and records each outcome.
- :mod:`~calumma.load.wire`, :mod:`~calumma.load.payloads`: thousands of prepared requests a second.
- :mod:`~calumma.load.session`: a load test, of a pattern and of the
  :mod:`~calumma.load.curve` of latency by rate, up to the highest rate that is kept up.
- :mod:`~calumma.load.measures`, :mod:`~calumma.load.histogram`, :mod:`~calumma.load.split`,
  :mod:`~calumma.load.comparison`: what came of it, where the time went, and what changed.
- :mod:`~calumma.load.figures`: pictures of it.
- :mod:`~calumma.load.pairs`: asks two services the same, for a comparison.
- :mod:`~calumma.load.summary`: rates, failures and latencies of a run.

Next room: :mod:`calumma.scoring`, which says how good the answers were.
"""
