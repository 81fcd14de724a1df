"""What KServe decides about an InferenceService, without input or output.

The webhooks (:mod:`~calumma.cluster.kserve.admission`) default and refuse objects with KServe's
own texts; the controller (:mod:`~calumma.cluster.kserve.controller`) turns an object into Knative
Services and their status back into the InferenceService's. Everything follows KServe 0.20's
source, quirks included, because people's scripts depend on them; what KServe leaves to its cluster
(domain, images) comes in as data.

Below lies :mod:`calumma.cluster.knative`; :mod:`calumma.cluster.node` carries the decisions out.
"""
