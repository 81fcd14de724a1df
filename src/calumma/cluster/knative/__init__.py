"""What Knative Serving decides, without input or output: revisions, routes, and their conditions.

KServe in Knative mode writes one Knative ``Service`` for each component; this room says which
revisions that makes, which of them traffic goes to, and what the status reports. It is
deterministic: the same objects and the same clock give the same decision.
Sources: knative.dev/serving ``pkg/apis/serving/v1`` and ``pkg/reconciler`` (2026-08).

:mod:`~calumma.cluster.knative.revision` makes and judges revisions,
:mod:`~calumma.cluster.knative.route` resolves traffic targets,
:mod:`~calumma.cluster.knative.service` puts both together. :mod:`calumma.cluster.kserve` is the
caller above, :mod:`calumma.cluster.node` acts on the result.
"""
