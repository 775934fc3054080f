import base64
from typing import Any

import pytest

from kingmaker_laptop.node.environment import ContainerConfigError, build_environment, sources_of
from kingmaker_laptop.node.fields import PodFacts
from support.pods import a_container, a_pod

FACTS = PodFacts("127.9.0.1", "127.0.0.1", {"cpu": "2", "memory": "1024Ki"})
CONFIG = {"data": {"a": "1", "b": "two"}}
SECRET = {"data": {"key": base64.b64encode(b"s3cret").decode()}}
SOURCES = {("configmaps", "cm"): CONFIG, ("secrets", "s"): SECRET, ("configmaps", "gone"): None}


def environment(*env: dict[str, Any], env_from: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, str]:
    meta = {"labels": {"app": "web"}, "annotations": {"note": "hi"}}
    pod = a_pod(a_container(env=list(env), envFrom=env_from or [], **fields), meta=meta, serviceAccountName="sa")
    return build_environment(pod.main[0], pod=pod, facts=FACTS, sources=SOURCES)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"fieldRef": {"fieldPath": "metadata.name"}}, "pod"),
        ({"fieldRef": {"fieldPath": "metadata.namespace"}}, "ns"),
        ({"fieldRef": {"fieldPath": "metadata.uid"}}, "u1"),
        ({"fieldRef": {"fieldPath": "metadata.labels['app']"}}, "web"),
        ({"fieldRef": {"fieldPath": "metadata.labels['none']"}}, ""),
        ({"fieldRef": {"fieldPath": "metadata.annotations['note']"}}, "hi"),
        ({"fieldRef": {"fieldPath": "spec.nodeName"}}, "n"),
        ({"fieldRef": {"fieldPath": "spec.serviceAccountName"}}, "sa"),
        ({"fieldRef": {"fieldPath": "status.podIP"}}, "127.9.0.1"),
        ({"fieldRef": {"fieldPath": "status.hostIP"}}, "127.0.0.1"),
        ({"configMapKeyRef": {"name": "cm", "key": "b"}}, "two"),
        ({"secretKeyRef": {"name": "s", "key": "key"}}, "s3cret"),
        ({"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}, "1500"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "2"),
        ({"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Ki"}}, "1024"),
    ],
)
def test_values_from_everywhere(source: dict[str, Any], expected: str) -> None:
    found = environment({"name": "X", "valueFrom": source}, resources={"limits": {"cpu": "1500m"}})
    assert found == {"X": expected}


def test_later_values_see_earlier_ones() -> None:
    found = environment(
        {"name": "HOST", "value": "h"},
        {"name": "URL", "value": "http://$(HOST):$(PORT)/$(P_a)"},
        {"name": "PORT", "value": "1"},
        env_from=[{"prefix": "P_", "configMapRef": {"name": "cm"}}],
    )
    assert found == {"P_a": "1", "P_b": "two", "HOST": "h", "URL": "http://h:$(PORT)/1", "PORT": "1"}


def test_optional_sources_may_be_missing() -> None:
    found = environment(
        {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "gone", "key": "a", "optional": True}}},
        {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "s", "key": "none", "optional": True}}},
        env_from=[{"configMapRef": {"name": "gone", "optional": True}}],
    )
    assert found == {}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "gone", "key": "a"}}, 'configmap "gone" not found'),
        ({"secretKeyRef": {"name": "s", "key": "none"}}, "couldn't find key none in Secret ns/s"),
        ({"fileKeyRef": {"path": "x"}}, "this node knows"),
        ({"fieldRef": {"fieldPath": "spec.secret"}}, "spec.secret"),
    ],
)
def test_what_is_missing_is_named(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ContainerConfigError, match=message):
        environment({"name": "X", "valueFrom": source})


def test_names_every_source() -> None:
    pod = a_pod(
        a_container(
            env=[{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
            envFrom=[{"configMapRef": {"name": "cm"}}],
        )
    )
    assert sources_of(pod.main[0]) == {("secrets", "s"), ("configmaps", "cm")}
