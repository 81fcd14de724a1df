"""Schedules: evaluations that run by themselves, from the same file here and on a cluster.

A schedule is a YAML document in ``evaluation/schedules/`` in the words of Kubernetes' CronJob. On
this machine a scheduler under the home's supervisor carries it out; for a cluster it is rendered.
Both mean the same by every word, which is Kubernetes' meaning.

- :mod:`~calumma.schedule.definition`: the document; :mod:`~calumma.schedule.cron`: its times.
- :mod:`~calumma.schedule.state` and :mod:`~calumma.schedule.decision`: what has happened, and one
  pure pass that says what to do now.
- :mod:`~calumma.schedule.store`, :mod:`~calumma.schedule.execution`,
  :mod:`~calumma.schedule.alerts`, :mod:`~calumma.schedule.metrics`: the disk, the processes, the
  people and Prometheus; :mod:`~calumma.schedule.scheduler` brings them together.
- :mod:`~calumma.schedule.cronjob`: the same document for a cluster, pure.
- :mod:`~calumma.schedule.commands`: ``calumma schedule``.

Next room: ``calumma evaluate``, which a run of a schedule is.
"""
