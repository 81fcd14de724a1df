"""The one-machine cluster: a Kubernetes API, KServe's decisions, and the processes they ask for.

Rooms: :mod:`~calumma.cluster.api` serves and stores objects; :mod:`~calumma.cluster.kserve` and
:mod:`~calumma.cluster.knative` decide, without input or output; :mod:`~calumma.cluster.programs`
renders command lines and configurations; :mod:`~calumma.cluster.node` acts on them.
The API server and the node are separate processes that meet only over HTTP.
"""
