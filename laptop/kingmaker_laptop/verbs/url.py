"""`kingmaker url`: where a ModelDeployment answers."""

import argparse
import asyncio
import sys

from kingmaker.kube.client import KubeClient
from kingmaker.kube.errors import ApiError
from kingmaker.kube.kubeconfig import KubeconfigError, read_kubeconfig
from kingmaker_laptop.errors import LocalError
from kingmaker_laptop.serviceurl import service_url
from kingmaker_laptop.verbs.flags import Subparsers, add_home, add_verb, home_of

_EPILOG = """\
  curl $(kingmaker url churn)/v2/models/churn

exit codes: 0 the URL is on stdout; 1 there is no such Service, or no cluster; 2 wrong usage
"""


def add_parser(subparsers: Subparsers) -> argparse.ArgumentParser:
    """Declare the verb."""
    parser = add_verb(subparsers, "url", summary="print the base URL of a ModelDeployment", epilog=_EPILOG)
    add_home(parser)
    parser.add_argument("-n", "--namespace", default="default", metavar="NS", help="default: %(default)s")
    parser.add_argument("name", metavar="NAME", help="name of the ModelDeployment")
    return parser


def run(options: argparse.Namespace) -> int:
    """Print the URL."""
    home = home_of(options)
    if not home.kubeconfig.exists():
        raise LocalError(f"{home.folder} has no cluster; start one with: kingmaker up --dir {home.folder}")
    try:
        connection = read_kubeconfig(home.kubeconfig)
        url = asyncio.run(_read(KubeClient(connection, agent="kingmaker"), options.namespace, options.name))
    except (ApiError, KubeconfigError) as error:
        raise LocalError(f"could not read Service {options.namespace}/{options.name}: {error}") from error
    sys.stdout.write(f"{url}\n")
    return 0


async def _read(client: KubeClient, namespace: str, name: str) -> str:
    async with client:
        return service_url(await client.get(f"/api/v1/namespaces/{namespace}/services/{name}"))
