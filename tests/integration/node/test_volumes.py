"""Volumes: the right content, kept up to date."""

from pathlib import Path

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import Connection, read_kubeconfig
from support.processnode import Api, ProcessNode, eventually, is_ready, shell, terminated


async def test_a_config_map_changes_under_a_running_pod(api: Api, node: ProcessNode) -> None:
    await api.create("configmaps", {"metadata": {"name": "cm"}, "data": {"a": "1", "b": "1"}})
    main = shell("exec sleep 60", volumeMounts=[{"name": "v", "mountPath": "/v"}])
    await api.run(main, volumes=[{"name": "v", "configMap": {"name": "cm"}}])
    found = await api.until(is_ready)
    folder = node.folder / "pods" / found["metadata"]["uid"] / "volumes" / "v"
    assert (folder / "a").read_text() == "1"
    assert (folder / "..data").is_symlink()
    await api.client.patch(api.path("configmaps", "cm"), {"data": {"a": "2", "b": None}})

    async def changed() -> bool:
        return (folder / "a").read_text() == "2"

    await eventually(changed, 10)
    assert not (folder / "b").exists()


async def test_labels_change_under_a_running_pod(api: Api, node: ProcessNode) -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    await api.run(shell("exec sleep 60"), labels={"a": "1"}, volumes=[{"name": "v", "downwardAPI": {"items": items}}])
    found = await api.until(is_ready)
    path = node.folder / "pods" / found["metadata"]["uid"] / "volumes" / "v" / "labels"
    assert path.read_text() == 'a="1"'
    await api.client.patch(api.path("pods", "pod"), {"metadata": {"labels": {"a": "2"}}})

    async def changed() -> bool:
        return path.read_text() == 'a="2"'

    await eventually(changed, 10)


async def test_a_service_account_token_is_one_of_the_pod(api: Api, node: ProcessNode) -> None:
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    main = shell(f"cat {place}/namespace > /dev/termination-log; exec sleep 60")
    await api.run(main, automountServiceAccountToken=True)
    found = await api.until(is_ready)
    mount = found["spec"]["containers"][0]["volumeMounts"][0]["name"]
    folder = node.folder / "pods" / found["metadata"]["uid"] / "volumes" / mount
    assert (folder / "namespace").read_text() == api.namespace
    assert "BEGIN CERTIFICATE" in (folder / "ca.crt").read_text()
    tls = read_kubeconfig(node.control_plane.kubeconfig).tls
    own = Connection(node.control_plane.url, tls, (folder / "token").read_text())
    async with KubeClient(own, agent="pod") as client:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        who = await client.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    assert who["status"]["userInfo"]["username"] == f"system:serviceaccount:{api.namespace}:default"
    assert who["status"]["userInfo"]["extra"]["authentication.kubernetes.io/pod-name"] == ["pod"]


async def test_host_paths_claims_and_sub_paths(api: Api, tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "file").write_text("from the host")
    storage = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "none"}
    claimed = {"name": api.namespace, "namespace": api.namespace}
    volume = {**storage, "hostPath": {"path": str(tmp_path / "claimed")}, "claimRef": {**claimed, "name": "claim"}}
    await api.client.create("/api/v1/persistentvolumes", {"metadata": {"name": api.namespace}, "spec": volume})
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "none",
        "volumeName": api.namespace,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    await api.create("persistentvolumeclaims", {"metadata": {"name": "claim"}, "spec": claim})
    main = shell(
        "cat /host/file > /pvc/copy; cp /host/file /one/here; ls -R /all > /dev/termination-log",
        volumeMounts=[
            {"name": "host", "mountPath": "/host", "readOnly": True},
            {"name": "pvc", "mountPath": "/pvc"},
            {"name": "empty", "mountPath": "/one", "subPath": "a/b"},
            {"name": "empty", "mountPath": "/all"},
        ],
    )
    volumes = [
        {"name": "host", "hostPath": {"path": str(tmp_path / "host"), "type": "Directory"}},
        {"name": "pvc", "persistentVolumeClaim": {"claimName": "claim"}},
        {"name": "empty", "emptyDir": {}},
    ]
    await api.run(main, restartPolicy="Never", volumes=volumes)
    found = await api.phase("Succeeded")
    assert (tmp_path / "claimed" / "copy").read_text() == "from the host"
    assert "here" in terminated(found)["message"]
    await api.delete()
    await api.gone()
    assert (tmp_path / "host" / "file").exists()
    await api.client.delete(f"/api/v1/persistentvolumes/{api.namespace}", {})


async def test_optional_volumes_may_be_missing(api: Api) -> None:
    volumes = [{"name": "v", "configMap": {"name": "gone", "optional": True}}]
    main = shell("ls /v > /dev/termination-log", volumeMounts=[{"name": "v", "mountPath": "/v"}])
    await api.run(main, restartPolicy="Never", volumes=volumes)
    assert "message" not in terminated(await api.phase("Succeeded"))


async def test_what_all_main_containers_mount_read_only_loses_its_write_permission(api: Api, node: ProcessNode) -> None:
    writer = shell("echo model > /w/model", name="fetch", volumeMounts=[{"name": "v", "mountPath": "/w"}])
    main = shell("exec sleep 60", volumeMounts=[{"name": "v", "mountPath": "/r", "readOnly": True}])
    await api.run(main, initContainers=[writer], volumes=[{"name": "v", "emptyDir": {}}])
    found = await api.until(is_ready)
    folder = node.folder / "pods" / found["metadata"]["uid"] / "volumes" / "v"
    assert (folder / "model").read_text() == "model\n"
    assert [path.stat().st_mode & 0o222 for path in (folder, folder / "model")] == [0, 0]
    await api.delete()
    await api.gone()
    assert not folder.exists()
