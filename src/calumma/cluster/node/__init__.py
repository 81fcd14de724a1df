"""The node: what a kubelet, KServe's and Knative's controllers and a gateway's control plane do.

Two processes live here. The *supervisor* (:mod:`~calumma.cluster.node.supervisor`) is small and
does one thing, it keeps programs running: the cluster's own and the pods' containers; they die
with it. The *agent* (:mod:`~calumma.cluster.node.agent`) watches the API, plans, and asks the
supervisor and Envoy for what the plan says; it can be killed at any moment, because everything it
knows it reads again from the API, the supervisor and Envoy.

The API server is reached only over HTTP (:mod:`~calumma.cluster.node.client`); what should happen
is decided without input or output in :mod:`calumma.cluster.kserve`,
:mod:`calumma.cluster.knative` and :mod:`~calumma.cluster.node.planning`.
"""
