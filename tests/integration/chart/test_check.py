"""What `helm test` runs says what is well, what is missing, and what to do about it."""

import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from support.audit import Audit
from support.controlplane import ControlPlane
from support.helm import CHART
from support.loop import running_loop
from support.team import ELSEWHERE, TEAM


async def check(
    plane: ControlPlane, folder: Path, *, url: str, token: str, namespaces: str, seconds: int = 20
) -> tuple[int, list[str]]:
    """Run the script as its pod would; gives its exit code and what it says."""
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_bytes(plane.authority.read_bytes())
    server = urlsplit(plane.url)
    given = {
        "KUBERNETES_SERVICE_HOST": server.hostname,
        "KUBERNETES_SERVICE_PORT": server.port,
        "ACCOUNT_DIR": folder,
        "OPERATOR_URL": url,
        "WATCHED_NAMESPACES": namespaces,
        "CHECK_SECONDS": seconds,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHART / "scripts" / "check.py")),
        env=os.environ | {name: str(value) for name, value in given.items()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode().splitlines()


async def test_a_release_that_works_is_told_so(audit: Audit, tmp_path: Path) -> None:
    async with running_loop(audit.plane, tmp_path) as loop:
        code, said = await check(audit.plane, tmp_path, url=loop.url, token=loop.token, namespaces=TEAM)
    assert code == 0, said
    assert said == [
        "ok    an operator answers: leading: holds the lease kingmaker",
        f"ok    models, modeldeployments and decisions can be read in namespace {TEAM}",
        "all is well",
    ]


async def test_what_is_missing_is_told_too(audit: Audit, tmp_path: Path) -> None:
    token = audit.plane.kubectl("create", "token", "default", "-n", TEAM).stdout.strip()
    names = f"{TEAM},{ELSEWHERE}"
    code, said = await check(audit.plane, tmp_path, url="http://127.0.0.1:1", token=token, namespaces=names, seconds=0)
    refused = "the operator may not read them: add the namespace to scope.namespaces"
    assert code == 1
    assert said[0].startswith("FAIL  no operator answers at http://127.0.0.1:1: ")
    assert said[1:] == [
        f"FAIL  models in namespace {TEAM}: {refused}",
        f"FAIL  models in namespace {ELSEWHERE}: {refused}",
        "3 of 3 checks failed",
    ]
