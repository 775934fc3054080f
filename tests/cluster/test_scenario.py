"""The demo's whole scenario in containers: the same steps, the same deadlines, not one difference in what is applied
but where files are."""

import contextlib
import sys
from pathlib import Path

import pytest

from kingmaker.kube.client import KubeClient
from kingmaker.kube.kubeconfig import Connection
from kingmaker_laptop.demo.errors import DemoError
from kingmaker_laptop.demo.failure import tell_what_was_seen
from kingmaker_laptop.demo.scenario import EXAMPLE, play, sum_up
from kingmaker_laptop.demo.screen import Screen
from kingmaker_laptop.demo.stage import Stage
from support.clients import Clients, ClusterPlace, StoredProps
from support.cluster import Cluster
from support.release import Images, Release


@pytest.mark.timeout(600)
async def test_the_whole_loop_turns_in_containers_and_no_request_fails(
    cluster: Cluster, release: Release, clients: Clients, images: Images, built: Path, tmp_path: Path
) -> None:
    props = StoredProps(EXAMPLE, built, images.training)
    with cluster.proxied() as url:
        async with KubeClient(Connection(url, None, None), agent="kingmaker-tests") as api:
            stage = Stage(ClusterPlace(clients, tmp_path), api, Screen(sys.stdout))
            try:
                await play(stage, props)
                failed = await sum_up(stage)
            except DemoError as error:
                await tell_what_was_seen(stage, str(error))
                raise
            finally:
                if stage.traffic:
                    await stage.traffic.stop()
                with contextlib.suppress(DemoError):
                    await stage.place.kubectl("delete", "modeldeployments,models", "--all", "-n", "demo")
    assert not failed
