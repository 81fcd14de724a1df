"""Calumma: KServe on one machine first, then on Chameleon.

A person writes an ``InferenceService`` manifest once. :mod:`calumma.cluster` runs it on this
machine; :mod:`calumma.models` and :mod:`calumma.serving` make what it serves;
:mod:`calumma.scoring`, :mod:`calumma.statistics` and :mod:`calumma.running` judge it.
``ARCHITECTURE.md`` walks the rooms; :mod:`calumma.errors` holds every exception.
"""

__version__ = "0.1.0"
