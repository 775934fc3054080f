"""What `helm test` runs, in a pod of the operator's image and with the operator's rights: what a release needs to work.

It ends with 1 when something is missing, and says what to do about it.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

ACCOUNT = Path(os.environ.get("ACCOUNT_DIR", "/var/run/secrets/kubernetes.io/serviceaccount"))
API = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
SECONDS = float(os.environ.get("CHECK_SECONDS", "60"))
"""How long a release that was just installed may take."""


def main() -> int:
    namespaces = [name for name in os.environ["WATCHED_NAMESPACES"].split(",") if name]
    checks = [lambda: operator(os.environ["OPERATOR_URL"])]
    checks += [lambda place=place: resources(place) for place in namespaces or [""]]
    failed = sum(not passes(check) for check in checks)
    print("all is well" if not failed else f"{failed} of {len(checks)} checks failed")
    return 1 if failed else 0


def passes(check: Callable[[], str]) -> bool:
    """Repeat a check until it passes or time is up, and say how it went."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            print(f"ok    {check()}", flush=True)
            return True
        except OSError as error:
            if time.monotonic() > end:
                print(f"FAIL  {error}", flush=True)
                return False
        time.sleep(1)


def operator(url: str) -> str:
    """An operator answers through its Service, and knows who leads."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            role = answer.read().decode().strip()
    except OSError as error:
        raise OSError(f"no operator answers at {url}: {error}; see the events and logs of its pods") from error
    if "nobody" in role:
        raise OSError(f"an operator answers, but {role}; see the logs of its pods")
    return f"an operator answers: {role}"


def resources(namespace: str) -> str:
    """The API server has the resources, and lets the operator read them."""
    place = f"namespaces/{namespace}/" if namespace else ""
    where = f"in namespace {namespace}" if namespace else "in all namespaces"
    for plural in ("models", "modeldeployments", "decisions"):
        try:
            get(f"/apis/kingmaker.dev/v1alpha1/{place}{plural}?limit=1")
        except urllib.error.HTTPError as error:
            raise OSError(f"{plural} {where}: {reason(error)}") from error
    return f"models, modeldeployments and decisions can be read {where}"


def get(path: str) -> object:
    request = urllib.request.Request(f"{API}{path}")
    request.add_header("Authorization", f"Bearer {(ACCOUNT / 'token').read_text().strip()}")
    trust = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, timeout=5, context=trust) as answer:
        return json.load(answer)


def reason(error: urllib.error.HTTPError) -> str:
    advice = {
        404: "the API server does not know them: install with crds.install=true",
        403: "the operator may not read them: add the namespace to scope.namespaces",
    }
    return advice.get(
        error.code, f"the API server answered {error.code}: {error.read().decode(errors='replace')[:300]}"
    )


if __name__ == "__main__":
    sys.exit(main())
