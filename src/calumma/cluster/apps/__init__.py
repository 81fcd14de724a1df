"""What Kubernetes' Deployment and ReplicaSet controllers decide, without doing any of it.

KServe's Standard mode runs a component as a Deployment. :mod:`.strategy` counts: how many pods the
old and the new ReplicaSets should have at each step of an update. :mod:`.replicaset` makes a
ReplicaSet of a template and says which of its pods stay; :mod:`.deployment` puts both together and
reports as Kubernetes does. :mod:`calumma.cluster.kserve` is the caller above,
:mod:`calumma.cluster.node` acts on the result.
"""
