"""The pods that serve one model: the same whatever the model's role, and no place for credentials."""

import json
from typing import Any

import pytest

from kingmaker.core.manifests.names import variant_name
from kingmaker.core.manifests.serving import (
    ShadowTarget,
    keys_secret,
    shadow_config_map,
    variant_deployment,
    variant_service,
)
from support.every_manifest import FILE, SETTINGS, TASK, a_full_deployment, a_full_model
from support.manifest_objects import DIGEST, a_deployment, a_model


def pod_of(model: Any = None, deployment: Any = None, **changes: Any) -> dict[str, Any]:
    body = variant_deployment(
        deployment or a_deployment(), model or a_model(), replicas=2, settings=_settings(**changes)
    )
    return body["spec"]["template"]["spec"]


def _settings(**changes: Any) -> Any:
    return type(SETTINGS)(**({f: getattr(SETTINGS, f) for f in SETTINGS.__dataclass_fields__} | changes))


def option(container: dict[str, Any], flag: str) -> str | None:
    args = container["args"]
    return args[args.index(flag) + 1] if flag in args else None


def test_a_promotion_changes_no_pod_template() -> None:
    model = a_model("churn-2")
    before = a_deployment(challengers=[{"name": "v2", "modelRef": {"name": "churn-2"}, "weight": 20}])
    after = a_deployment(championRef={"name": "churn-2"})
    promoted, challenging = (
        variant_deployment(d, model, replicas=2, settings=SETTINGS)["spec"]["template"] for d in (after, before)
    )
    assert promoted == challenging


def test_two_models_differ_only_where_they_name_the_model() -> None:
    one, two = (
        json.dumps(variant_deployment(a_deployment(), a_model(name), replicas=2, settings=SETTINGS)["spec"])
        for name in ("churn-1", "churn-2")
    )
    assert one.replace("churn-1", "churn-2") == two


def test_only_the_init_container_sees_the_secret() -> None:
    pod = pod_of(a_full_model())
    assert pod["initContainers"][0]["envFrom"] == [{"secretRef": {"name": "s3"}}]
    assert "s3" not in json.dumps(pod["containers"][0]["env"])
    assert "envFrom" not in pod["containers"][0]


def test_the_server_cannot_change_what_was_verified() -> None:
    serve = pod_of()["containers"][0]
    assert {"name": "model", "mountPath": "/mnt/model", "readOnly": True} in serve["volumeMounts"]


def test_the_server_is_told_every_digest() -> None:
    serve = pod_of(a_full_model())["containers"][0]
    assert serve["command"] == ["kingmaker-serving", "serve"]
    for flag in ("--model-digest", "--baseline-digest", "--examples-digest"):
        assert option(serve, flag) == DIGEST
    assert json.loads(option(serve, "--task") or "") == TASK
    assert option(serve, "--model-name") == "churn"
    assert option(serve, "--model-version") == "churn-1"
    assert option(serve, "--host") == "$(POD_IP)"


def test_what_a_model_lacks_is_no_argument() -> None:
    pod = pod_of()
    for flag in ("--baseline-digest", "--examples-digest", "--task", "--max-request-bytes"):
        assert option(pod["containers"][0], flag) is None
    assert "--baseline-uri" not in pod["initContainers"][0]["args"]


def test_a_models_address_cannot_carry_the_credentials_away() -> None:
    baseline = FILE | {"uri": "https://collector/$(AWS_SECRET_ACCESS_KEY)"}
    fetch = pod_of(a_model(baseline=baseline))["initContainers"][0]
    assert option(fetch, "--baseline-uri") == "https://collector/$$(AWS_SECRET_ACCESS_KEY)"


def test_the_own_choices_of_a_deployment_are_taken() -> None:
    deployment = a_deployment(serving={"image": "mine:2", "maxRequestBytes": 4096, "resources": {"limits": {"cpu": 2}}})
    pod = pod_of(deployment=deployment)
    assert [c["image"] for c in (*pod["initContainers"], *pod["containers"])] == ["mine:2", "mine:2"]
    assert option(pod["containers"][0], "--max-request-bytes") == "4096"
    assert pod["containers"][0]["resources"] == {
        "requests": {"memory": "256Mi", "ephemeral-storage": "256Mi"},
        "limits": {"cpu": "2", "memory": "2Gi", "ephemeral-storage": "12Gi"},
    }


def test_memory_and_disk_are_limited_to_what_was_requested() -> None:
    pod = pod_of(deployment=a_full_deployment())
    assert pod["containers"][0]["resources"] == {
        "requests": {"cpu": "2", "memory": "4Gi", "ephemeral-storage": "2Gi"},
        "limits": {"memory": "4Gi", "ephemeral-storage": "2Gi"},
    }


def test_disk_is_enough_for_every_folder_full_of_files() -> None:
    for container in (pod := pod_of(model_size_limit="500Mi"))["initContainers"] + pod["containers"]:
        assert container["resources"]["limits"]["ephemeral-storage"] == "2548Mi"


def test_pods_run_where_people_want_them() -> None:
    chosen = {
        "nodeSelector": {"pool": "models"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "runtimeClassName": "gvisor",
        "priorityClassName": "important",
    }
    pod = pod_of(deployment=a_deployment(serving=chosen))
    assert {key: pod[key] for key in chosen} == chosen
    assert not chosen.keys() & pod_of().keys()


def test_an_autoscaled_deployment_says_nothing_of_its_number_of_pods() -> None:
    fixed, scaled = (
        variant_deployment(a_deployment(), a_model(), replicas=replicas, settings=SETTINGS) for replicas in (3, None)
    )
    assert fixed["spec"].pop("replicas") == 3
    assert scaled == fixed


@pytest.mark.parametrize(("pre_stop", "drain", "grace"), [(10, 45, 75), (1, 2, 23), (0, 2, 22)])
def test_the_grace_period_holds_the_sleep_and_the_drain(pre_stop: int, drain: int, grace: int) -> None:
    pod = pod_of(pre_stop_seconds=pre_stop, drain_seconds=drain)
    serve = pod["containers"][0]
    slept = serve.get("lifecycle", {"preStop": {"sleep": {"seconds": 0}}})["preStop"]["sleep"]["seconds"]
    assert (slept, option(serve, "--drain-seconds"), pod["terminationGracePeriodSeconds"]) == (
        pre_stop,
        str(drain),
        grace,
    )


def test_all_pods_of_a_deployment_mount_its_keys_and_no_others() -> None:
    one, two = a_deployment(uid="one"), a_deployment(uid="two")
    name = keys_secret(one)["metadata"]["name"]
    assert name != keys_secret(two)["metadata"]["name"]
    for model in ("churn-1", "churn-2"):
        pod = pod_of(a_model(model), one)
        assert {"name": "ids", "secret": {"secretName": name}} in pod["volumes"]
        serve = pod["containers"][0]
        mount = {"name": "ids", "mountPath": option(serve, "--id-keys"), "readOnly": True}
        assert mount in serve["volumeMounts"]
        assert "ids" not in [m["name"] for m in pod["initContainers"][0]["volumeMounts"]]


def test_no_plan_holds_a_key() -> None:
    secret = keys_secret(a_deployment())
    assert not {"data", "stringData"} & secret.keys()
    assert secret["metadata"]["ownerReferences"][0]["kind"] == "ModelDeployment"


def test_pods_of_an_earlier_deployment_of_the_same_name_are_not_selected() -> None:
    old, new = (variant_service(a_deployment(uid=uid), "churn-1")["spec"]["selector"] for uid in ("one", "two"))
    assert old != new


def test_the_targets_name_the_champion_and_the_decision() -> None:
    target = ShadowTarget("churn-2", DIGEST, "http://10.96.3.4:8080", 100)
    body = shadow_config_map(a_deployment(), decision=12, champion="churn-1", targets=[target])
    assert body["metadata"]["name"] == "churn-shadow"
    assert json.loads(body["data"]["targets.json"]) == {
        "decision": 12,
        "champion": "churn-1",
        "targets": [{"model": "churn-2", "digest": DIGEST, "url": "http://10.96.3.4:8080", "percent": 100}],
    }


def test_every_variant_waits_for_targets_without_needing_them() -> None:
    pod = pod_of()
    assert {"name": "shadow", "configMap": {"name": "churn-shadow", "optional": True}} in pod["volumes"]
    assert option(pod["containers"][0], "--shadow-targets") == "/etc/kingmaker/shadow/targets.json"


def test_service_and_deployment_of_a_variant_share_their_name() -> None:
    service = variant_service(a_deployment(), "churn-1")
    assert service["metadata"]["name"] == variant_name("churn", "churn-1")
    assert [port["port"] for port in service["spec"]["ports"]] == [8080, 8081, 8082]


def test_pods_of_one_template_are_spread_and_none_is_held_back() -> None:
    pod = pod_of()
    # A second soft constraint would switch this one off where nodes lack its label.
    (nodes,) = pod["topologySpreadConstraints"]
    assert (nodes["topologyKey"], nodes["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "ScheduleAnyway")
    (zones,) = pod["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    assert zones["podAffinityTerm"]["topologyKey"] == "topology.kubernetes.io/zone"
    for rule in (nodes, zones["podAffinityTerm"]):
        assert rule["matchLabelKeys"] == ["pod-template-hash"]
