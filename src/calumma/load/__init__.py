"""Load as users make it: requests arrive when they arrive, however slow the service is.

A generator that waits for an answer before it sends the next request slows down together with the
service, and so reports a stall of a second as one slow request ("coordinated omission"). Here the
times are fixed beforehand, and a request's latency counts from the time it was *meant* to be sent:
a stall shows in every request that would have met it. Where the generator itself falls behind
(all of its connections busy, or its machine), the delay is part of the latency, and the summary
says how many requests it met: it is never silent.

- :mod:`~calumma.load.schedule`: when to send, and what.
- :mod:`~calumma.load.generator`: sends, and records each outcome.
- :mod:`~calumma.load.pairs`: asks two services the same, for a comparison.
- :mod:`~calumma.load.summary`: rates, failures and latencies of a run.

Next room: :mod:`calumma.scoring`, which says how good the answers were.
"""
