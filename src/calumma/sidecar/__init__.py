"""KServe's ``agent`` container: what stands in front of a component and logs or batches for it.

``python -m calumma.sidecar`` takes the arguments that KServe's webhook gives to ``kserve/agent``
and does what that program does. It runs as a pod's container of its own; nothing of the control
plane imports it, and it imports nothing of the control plane.

:mod:`~calumma.sidecar.options` reads the arguments. What to decide is pure:
:mod:`~calumma.sidecar.events` (what a CloudEvent says), :mod:`calumma.destination` (where it goes),
:mod:`~calumma.sidecar.batches` (what a batch asks and answers). A request walks through
:mod:`~calumma.sidecar.health`, :mod:`~calumma.sidecar.recording` and
:mod:`~calumma.sidecar.batching` to :mod:`~calumma.sidecar.proxy`, gRPC through
:mod:`~calumma.sidecar.calls`; :mod:`~calumma.sidecar.delivery` sends the events, beside the
requests and never in their way. :mod:`~calumma.sidecar.server` puts them together.
Source: kserve ``cmd/agent``, ``pkg/logger`` and ``pkg/batcher``.
"""
