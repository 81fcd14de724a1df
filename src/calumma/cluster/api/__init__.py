"""The Kubernetes API of the one-machine cluster: objects over HTTPS, as ``kubectl`` expects them.

The room exists so that a manifest, ``kubectl`` and ``KServeClient`` work here as on a cluster. It
serves kinds as rows of data with verbs that are generic over kinds; it knows nothing of what the
objects mean. The node's controllers read and write through it like everybody else.

A request passes these modules, from the wire to the disk:

- :mod:`.app` answers HTTP; :mod:`.access` knows who asks; :mod:`.routing` says what for;
  :mod:`.negotiation` in which form; :mod:`.documents` serves discovery, :mod:`.openapi` and health.
- :mod:`.handlers` runs a verb; :mod:`.options` reads its query; :mod:`.parsing` its body
  (:mod:`.protobuf`), of which :mod:`.decoding` makes an object (:mod:`.gostructs`), or
  :mod:`.changes` a change (:mod:`.patching`). :mod:`.rendering` writes the answer.
- :mod:`.reading`, :mod:`.writing` and :mod:`.deleting` do it; :mod:`.objections` says what speaks
  against it; :mod:`.metadata`, :mod:`.strategies`, :mod:`.structure` and :mod:`.validation` shape
  and judge objects; :mod:`.ownership` keeps managed fields (:mod:`.typed`, :mod:`.fieldset`).
- :mod:`.store` is the log, :mod:`.database` its file on disk, :mod:`.watch` what follows it,
  :mod:`.garbage` what cleans it.
- :mod:`.openapi` and :mod:`.operations` write down what is served, :mod:`.definitions` as
  CustomResourceDefinitions. :mod:`.tables`, :mod:`.printers` and :mod:`.jsonpath` make what
  ``kubectl get`` prints; :mod:`.logs` is ``kubectl logs``, :mod:`.reviews` ``kubectl auth``.
- :mod:`.resources` and :mod:`.kinds` list the kinds; :mod:`.schema` holds their schemas, which
  :mod:`.derivation` and :mod:`.constraints` derive from the installed kserve.

:mod:`calumma.cluster.apiserver` puts them together and runs them.
"""
