"""Rollouts: a canary's share grows by statistics that stay valid however often one looks.

A policy says in which steps the share grows, what must not become worse and by how much, and what
happens when that stays unclear. A rollout is carried out by one process, which looks again and
again: it reads the InferenceService, counts what came since the last look, judges, writes down what
it decides, and only then does it. What it knows lies in a ConfigMap beside the InferenceService, so
that any process can go on where another one was killed.

- :mod:`~calumma.rollout.policy`: the document.
- :mod:`~calumma.rollout.state`: what is known of a rollout, as it lies in the ConfigMap.
- :mod:`~calumma.rollout.judgement`: what the counts say of each metric, at any time. Pure.
- :mod:`~calumma.rollout.wording`: the same as sentences. Pure.
- :mod:`~calumma.rollout.service`: an InferenceService as a rollout sees it, and the patches; for
  each deployment mode by :mod:`~calumma.rollout.knative` and :mod:`~calumma.rollout.standard`.
  Pure.
- :mod:`~calumma.rollout.decision`: what to do now, with the clock passed in: one
  :mod:`~calumma.rollout.look` at :mod:`~calumma.rollout.persons`,
  :mod:`~calumma.rollout.troubles` and :mod:`~calumma.rollout.steps`. Pure.
- :mod:`~calumma.rollout.listing`: plans and states as text for people. Pure.
- :mod:`~calumma.rollout.names`: what all that is called in the cluster.
- :mod:`~calumma.rollout.record`: the ConfigMap with the state, and who works on it. Pure.
- :mod:`~calumma.rollout.routing`: what a rollout asks of the one-machine cluster's gateway.
- :mod:`~calumma.rollout.assignment`: who gets which revision, where clients choose. Pure.
- :mod:`~calumma.rollout.cluster`: the Kubernetes API: services, ConfigMaps, events.
- :mod:`~calumma.rollout.sources`: counts by Prometheus, feedback and paired replay.
- :mod:`~calumma.rollout.gates`: what else must agree: an evaluation, a webhook, a person.
- :mod:`~calumma.rollout.driver`: the process; ``python -m calumma.rollout`` runs it.
- :mod:`~calumma.rollout.commands`: ``calumma rollout``.
"""
