"""The Kubernetes API as a rollout uses it: InferenceServices, the ConfigMap, Events. Blocking.

By KServe's and Kubernetes' official clients, so it is the same here and on another cluster. Nothing
is written over somebody else's change: a patch and a record carry the ``resourceVersion`` that was
read, and :class:`~calumma.errors.Conflict` says that it is another one by now. A cluster that does
not answer is a :class:`~calumma.errors.ServiceUnavailable`, an object that it refuses a
:class:`~calumma.errors.RolloutError` in its own words.
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from calumma import errors
from calumma.cluster import event as events
from calumma.evaluation import document
from calumma.inference import connection
from calumma.rollout import names
from calumma.rollout import record as records
from calumma.rollout.policy import Policy
from calumma.rollout.record import Driver, Record
from calumma.rollout.state import Verb

COMPONENT: Final = "calumma-rollout"
"""The source of a rollout's Events."""
_KIND: Final = ("serving.kserve.io", "v1beta1")
_PLURAL: Final = "inferenceservices"
_MERGE: Final = "application/merge-patch+json"
_SECONDS: Final = (3, 10)
"""For which one try may wait for the connection and for the answer."""
_POLICY: Final = "policy.yaml"

Object = dict[str, Any]


class Cluster:
    """The cluster of ``KUBECONFIG``, or the one in which this process runs as a pod."""

    def __init__(self) -> None:
        self._connected: Any = None

    def service(self, name: str, namespace: str) -> Object:
        """An InferenceService; raises :class:`~calumma.errors.ServiceMissing` without one."""
        where = (namespace, _PLURAL, name)
        return dict(self._custom(_title(name, namespace), "get_namespaced_custom_object", *where))

    def patch(self, name: str, namespace: str, patch: Object) -> Object:
        """The InferenceService after a merge patch; an empty one only reads it."""
        if not patch:
            return self.service(name, namespace)
        what, where = _title(name, namespace), (namespace, _PLURAL, name)
        call = "patch_namespaced_custom_object"
        return dict(self._custom(what, call, *where, patch, _content_type=_MERGE))

    def services(self, namespace: str | None = None) -> list[Object]:
        """All InferenceServices of a namespace, or of all."""
        what = f"the list of InferenceServices{_of(namespace)}"
        if namespace is None:
            found = self._custom(what, "list_cluster_custom_object", _PLURAL)
        else:
            found = self._custom(what, "list_namespaced_custom_object", namespace, _PLURAL)
        return list(found["items"])

    def record(self, name: str, namespace: str) -> Record | None:
        """What is known of a service's rollouts."""
        where = (names.config_map(name), namespace)
        try:
            return self._record(self._core(_map(*where), "read_namespaced_config_map", *where))
        except errors.ServiceMissing:
            return None

    def records(self, namespace: str | None = None) -> list[Record]:
        """What is known of all services' rollouts."""
        what, call = f"the list of rollouts{_of(namespace)}", "list_namespaced_config_map"
        where = () if namespace is None else (namespace,)
        if namespace is None:
            call = "list_config_map_for_all_namespaces"
        found = self._core(what, call, *where, label_selector=names.SERVICE)
        return [self._record(each) for each in found.items]

    def write(self, record: Record) -> Record:
        """Store a record, and with it that its driver is there, if this process is that.

        Raises :class:`~calumma.errors.Conflict` when it was changed since it was read.
        """
        if record.driver is not None and _is_me(record.driver):
            record = replace(record, driver=_me())
        what, body = _map(record.name, record.namespace), records.written(record)
        if record.resource_version is None:
            call = "create_namespaced_config_map"
            return self._record(self._core(what, call, record.namespace, body))
        return self._changed(record, "replace_namespaced_config_map", body)

    def take(self, record: Record) -> Record:
        """Become the driver of a service's rollouts; renew that, or another one will.

        Raises :class:`~calumma.errors.RolloutError` while another process is.
        """
        other, me = record.driver, _me()
        ended = other is not None and other.host == me.host and not _runs(other.process)
        return self.write(record.taken(me, other_ended=ended))

    def renew(self, record: Record) -> Record:
        """Say that this driver is still there, every :data:`~.record.RENEW` seconds."""
        body = {
            "metadata": {"resourceVersion": record.resource_version},
            "data": {"driver": records.driver_of(_me())},
        }
        return self._changed(record, "patch_namespaced_config_map", body)

    def release(self, record: Record) -> Record:
        """Be the driver no more."""
        return self.write(replace(record, driver=None))

    def request(self, name: str, namespace: str, verb: Verb) -> None:
        """Write down what a person wishes."""
        where, data = (names.config_map(name), namespace), {"request": verb, "answer": None}
        try:
            self._core(_map(*where), "patch_namespaced_config_map", *where, {"data": data})
        except errors.ServiceMissing as error:
            raise errors.RolloutError(
                f"{name} in namespace {namespace} has no rollout that could {verb}; begin one with "
                "`calumma rollout start`"
            ) from error

    def event(self, isvc: Object, reason: str, text: str, warning: bool) -> None:
        """Record an Event about an InferenceService; the same again raises its count."""
        words = events.Words("Warning" if warning else "Normal", reason, text)
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        new = events.about(isvc, words, COMPONENT, now)
        where = (new["metadata"]["name"], new["metadata"]["namespace"])
        what = f"the Event {where[0]} in namespace {where[1]}"
        try:
            self._core(what, "create_namespaced_event", where[1], new)
        except errors.Conflict:
            present = self._core(what, "read_namespaced_event", *where)
            more = events.again(present.count, now)
            self._core(what, "patch_namespaced_event", *where, more)

    def policy(self, config_map: str, namespace: str) -> Policy:
        """The policy in a ConfigMap, by its key ``policy.yaml``.

        Raises :class:`~calumma.errors.RolloutError` when it is missing or not understood.
        """
        what, where = _map(config_map, namespace), (config_map, namespace)
        try:
            data = self._core(what, "read_namespaced_config_map", *where).data or {}
            if _POLICY in data:
                return document.parse(data[_POLICY], Policy, f"{_POLICY} in {what}")
        except errors.ServiceMissing as error:
            raise errors.RolloutError(f"{error}, so there is no policy to go by") from error
        except errors.DocumentInvalid as error:
            raise errors.RolloutError(str(error)) from error
        raise errors.RolloutError(
            f"{what} has the keys {sorted(data)}; a policy is expected in {_POLICY}"
        )

    def prometheus(self) -> str | None:
        """The address of the cluster's Prometheus, where it names one."""
        found: str | None = self._answered("the cluster's Prometheus", connection.prometheus)
        return found

    def _changed(self, record: Record, call: str, body: Object) -> Record:
        """The record after a change of its ConfigMap, which must still be there."""
        what = _map(record.name, record.namespace)
        try:
            return self._record(self._core(what, call, record.name, record.namespace, body))
        except errors.ServiceMissing as error:
            raise errors.Conflict(f"{what} was deleted meanwhile") from error

    def _record(self, found: Any) -> Record:
        return records.read(self._client().core_api.api_client.sanitize_for_serialization(found))

    def _custom(self, what: str, call: str, *arguments: Any, **named: Any) -> Any:
        """What the API of custom objects answers."""
        return self._answered(
            what,
            lambda client: getattr(client.api_instance, call)(
                *_KIND, *arguments, _request_timeout=_SECONDS, **named
            ),
        )

    def _core(self, what: str, call: str, *arguments: Any, **named: Any) -> Any:
        """What the API of Kubernetes' core group answers."""
        return self._answered(
            what,
            lambda client: getattr(client.core_api, call)(
                *arguments, _request_timeout=_SECONDS, **named
            ),
        )

    def _answered(self, what: str, ask: Callable[[Any], Any]) -> Any:
        import kubernetes

        with connection.reaching(what):
            try:
                return ask(self._client())
            except kubernetes.client.ApiException as error:
                raise _refusal(what, error) from error

    def _client(self) -> Any:
        if self._connected is None:
            self._connected = connection.connect()
        return self._connected


def _refusal(title: str, error: Any) -> errors.CalummaError:
    """Our error for an answer of the API other than success."""
    try:
        said = json.loads(error.body)["message"]
    except (TypeError, ValueError, KeyError):
        said = error.reason
    if error.status == 404:
        return errors.ServiceMissing(f"{title} does not exist")
    if error.status == 409:
        return errors.Conflict(f"{title} was changed by somebody else meanwhile: {said}")
    if error.status == 429 or error.status >= 500:
        return errors.ServiceUnavailable(f"{title}: the API answered {error.status}, {said}")
    return errors.RolloutError(f"{title}: the API refuses with {error.status}, {said}")


def _title(name: str, namespace: str) -> str:
    return f"the InferenceService {name} in namespace {namespace}"


def _map(name: str, namespace: str) -> str:
    return f"the ConfigMap {name} in namespace {namespace}"


def _of(namespace: str | None) -> str:
    return "" if namespace is None else f" in namespace {namespace}"


def _me() -> Driver:
    return Driver(host=socket.gethostname(), process=os.getpid(), time=time.time())


def _is_me(driver: Driver) -> bool:
    me = _me()
    return (driver.host, driver.process) == (me.host, me.process)


def _runs(process: int) -> bool:
    """Whether a process of this host is still there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
