"""The connection to a cluster: KServe's official client, and sentences where none answers.

The kubeconfig is the one that ``KUBECONFIG`` names; in a pod without one it is the pod's service
account. So the same program works with this machine's cluster, with another one, and inside it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from calumma import errors

_ANSWER_SECONDS = 3
"""For which one try of the first request may wait; there are four."""


def connect() -> Any:
    """A ``KServeClient`` whose API server has just answered; call it within :func:`reaching`."""
    # Imported here because kserve takes more than a second, which a load generator need not pay.
    import kserve
    import kubernetes

    # Given by name because the kubernetes package reads the variable only once, on import.
    client = kserve.KServeClient(config_file=os.environ.get("KUBECONFIG"))
    # KServe's client itself waits for minutes, or for ever.
    version = kubernetes.client.VersionApi(client.core_api.api_client)
    with contextlib.suppress(kubernetes.client.ApiException):  # an answer all the same
        version.get_code(_request_timeout=_ANSWER_SECONDS)
    return client


@contextlib.contextmanager
def reaching(name: str) -> Iterator[None]:
    """Raise ServiceUnavailable with a sentence about ``name`` where no cluster can be asked."""
    import kubernetes
    import urllib3

    try:
        yield
    except kubernetes.config.ConfigException as error:
        raise errors.ServiceUnavailable(
            f"{name} cannot be looked up without a kubeconfig ({error}); "
            "for the cluster on this machine: export KUBECONFIG=$(calumma kubeconfig)"
        ) from error
    except urllib3.exceptions.HTTPError as error:
        raise errors.ServiceUnavailable(
            f"{name} cannot be looked up, no cluster answers ({error}); "
            "start the one on this machine with `calumma up`"
        ) from error


def prometheus(client: Any) -> str | None:
    """The address that the ConfigMap ``calumma`` names; only Calumma's own clusters have it."""
    import kubernetes

    try:
        found = client.core_api.read_namespaced_config_map(
            "calumma", "kserve", _request_timeout=_ANSWER_SECONDS
        )
    except kubernetes.client.ApiException as error:
        if error.status in (403, 404):
            return None
        raise
    return (found.data or {}).get("prometheus")
