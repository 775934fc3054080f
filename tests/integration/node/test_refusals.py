"""What the node can't give, or not yet: said clearly, and retried where that helps."""

from support.processnode import Api, eventually, is_ready, pod, shell, state


async def test_an_image_without_a_command_fails_with_a_clear_message(api: Api) -> None:
    await api.run({"image": "nginx:1.29", "command": []})
    found = await api.phase("Failed")
    message = "image nginx:1.29 can't be pulled here; name the command"
    assert found["status"]["message"] == message
    assert await api.event("ErrImageNeverPull") == message
    await api.delete()
    await api.gone()


async def test_a_replica_that_cannot_run_waits_instead_of_being_replaced_for_ever(api: Api) -> None:
    labels = {"app": "x"}
    template = pod({"command": []}, labels=labels)
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    await api.create("replicasets", {"metadata": {"name": "rs"}, "spec": spec}, group="apis/apps/v1")
    names: list[str] = []

    async def waiting() -> bool:
        items = (await api.client.get(api.path("pods")))["items"]
        names[:] = [item["metadata"]["name"] for item in items]
        return bool(items) and "containerStatuses" in items[0]["status"]

    await eventually(waiting)
    found = await api.pod(names[0])
    assert len(names) == 1
    assert found["status"]["phase"] == "Pending"
    assert state(found)["state"]["waiting"]["reason"] == "ErrImageNeverPull"


async def test_unsupported_volumes_are_named(api: Api) -> None:
    await api.run(shell("true"), volumes=[{"name": "v", "nfs": {"server": "s", "path": "/"}}])
    assert "volume v: nfs isn't one of" in (await api.phase("Failed"))["status"]["message"]


async def test_a_missing_config_map_is_waited_for(api: Api) -> None:
    source = {"configMapKeyRef": {"name": "late", "key": "a"}}
    await api.run(shell("exec sleep 60", env=[{"name": "A", "valueFrom": source}]))
    found = await api.until(
        lambda it: "reason" in state(it)["state"].get("waiting", {}) and _reason(it) != "ContainerCreating"
    )
    assert _reason(found) == "CreateContainerConfigError"
    assert 'configmap "late" not found' in state(found)["state"]["waiting"]["message"]
    await api.create("configmaps", {"metadata": {"name": "late"}, "data": {"a": "1"}})
    await api.until(is_ready)


async def test_a_missing_secret_volume_is_waited_for(api: Api) -> None:
    volumes = [{"name": "v", "secret": {"secretName": "late"}}]
    main = shell("cat /v/k; exec sleep 60", volumeMounts=[{"name": "v", "mountPath": "/v"}])
    await api.run(main, volumes=volumes)
    assert 'secret "late" not found' in await api.event("FailedMount")
    await api.create("secrets", {"metadata": {"name": "late"}, "stringData": {"k": "v"}})
    await api.until(is_ready)


def _reason(found: dict) -> str:
    return state(found)["state"]["waiting"]["reason"]
