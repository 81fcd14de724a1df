"""Questions that are posted and answered at once: who am I, and what may I do?

``kubectl auth whoami`` and ``kubectl auth can-i`` ask them. Nothing is stored. Pure.
Source: Kubernetes' ``authentication.k8s.io/v1`` and ``authorization.k8s.io/v1``.
"""

from __future__ import annotations

from typing import Any

from calumma.cluster.api import access
from calumma.cluster.api.resources import Catalog, Resource
from calumma.cluster.objects import Object, dig


def answer(resource: Resource, question: Object, user: access.User, catalog: Catalog) -> Object:
    """The question of a user with its answer in ``status``."""
    match resource.kind:
        case "SelfSubjectReview":
            groups = [*user.groups, "system:authenticated"]
            found: Any = {"userInfo": {"username": user.name, "groups": groups}}
        case "SelfSubjectAccessReview":
            found = _allowed(question, user, catalog)
        case _:
            found = _rules(user, catalog)
    return {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {"creationTimestamp": None},
        "spec": question.get("spec", {}),
        "status": found,
    }


def _allowed(question: Object, user: access.User, catalog: Catalog) -> Object:
    """Whether the user may do what the question names."""
    asked = dig(question, "spec", "resourceAttributes", default={})
    named = (asked.get("group", ""), asked.get("resource", ""))
    resource = next((row for row in catalog.rows if (row.group, row.plural) == named), None)
    verb = asked.get("verb", "")
    if access.may(user, "create" if verb == "*" else verb, resource):
        return {"allowed": True}
    return {"allowed": False, "reason": f"only {resource.writer if resource else ''} writes this"}


def _rules(user: access.User, catalog: Catalog) -> Object:
    """All that the user may do."""
    rules = []
    for row in catalog.rows:
        verbs = [verb for verb in row.verbs if access.may(user, verb, row)]
        rules.append({"verbs": verbs, "apiGroups": [row.group], "resources": [row.plural]})
    paths = [{"verbs": ["*"], "nonResourceURLs": ["*"]}]
    return {"resourceRules": rules, "nonResourceRules": paths, "incomplete": False}
