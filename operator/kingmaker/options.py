"""How the operator is started: every option, its environment variable, its default and its check, in one place."""

from __future__ import annotations

import socket
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    CliApp,
    CliSubCommand,
    NoDecode,
    SettingsConfigDict,
    SettingsError,
    get_subcommand,
)

from kingmaker.core.manifests.settings import LINK_LOCAL, PullPolicy

PREFIX: Final = "KINGMAKER_"
"""Of the environment variables: `--serving-image` is `KINGMAKER_SERVING_IMAGE`. The command line wins."""


class UsageError(ValueError):
    """An option that can't be used; the message names each, what was found and what was expected."""


def _split(value: object) -> object:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
"""Names separated by commas; an empty text is none."""

_ADDRESS: Final = "https?://[A-Za-z0-9.:_-]+|https?://\\[[0-9A-Fa-f:]+\\](:[0-9]+)?"
_URL: Final = f"({_ADDRESS})(/[A-Za-z0-9._~/-]*)?"
Address = Annotated[str, Field(pattern=f"^{_URL}$", max_length=512)]
"""A base URL without credentials, query and fragment."""
Source = Annotated[str, Field(pattern=f"^[a-z0-9]([-a-z0-9]{{0,61}}[a-z0-9])?={_URL}$", max_length=600)]
Sources = Annotated[tuple[Source, ...], NoDecode, BeforeValidator(_split)]
"""Base URLs with a name for each, separated by commas."""

Port = Annotated[int, Field(ge=0, le=65535)]


class Options(BaseSettings):
    """Runs the operator until SIGTERM, connected by --kubeconfig or as the pod that it is.

    Every option has an environment variable of the same name, `KINGMAKER_...`; the command line wins.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, cli_kebab_case=True, frozen=True)

    kubeconfig: str = Field("", description="kubeconfig to use; empty: the pod's own ServiceAccount")
    namespaces: Names = Field((), description="namespaces to serve, separated by commas; empty: all")
    operator_namespace: str = Field("kingmaker-system", description="namespace that the operator runs in")
    serving_image: str = Field(description="image with kingmaker-serving")
    router_image: str = Field(description="image with Envoy")
    image_pull_policy: PullPolicy = Field("IfNotPresent", description="pull policy of both")
    image_pull_secrets: Names = Field((), description="names of Secrets for a private registry, separated by commas")
    xds_host: str = Field(description="name or address at which routers find this process")
    xds_port: Port = Field(18000, description="port for routers")
    bind_address: str = Field("0.0.0.0", description="address to listen at")  # noqa: S104  # a pod's only address
    metrics_port: Port = Field(8080, description="port for /metrics, /livez and /readyz")
    router_replicas: int = Field(2, ge=1, description="router pods per namespace")
    pre_stop_seconds: int = Field(10, ge=0, description="seconds an ending pod goes on answering")
    drain_seconds: int = Field(45, ge=0, description="seconds a server may finish what is in flight, at most")
    startup_seconds: int = Field(300, ge=1, description="seconds a server may take to load its model")
    verify_memory: str = Field(
        "8Gi", pattern="^[1-9][0-9]*(Mi|Gi)$", description="memory that verifying a model may take, at most"
    )
    blocked_egress: Names = Field(
        LINK_LOCAL, description="networks that no server and no Job may reach, separated by commas"
    )
    store_namespaces: Names = Field((), description="namespaces that they may reach even so, separated by commas")
    monitoring_namespaces: Names = Field(
        (), description="namespaces whose pods may scrape /metrics, separated by commas"
    )
    evaluation_interval: float = Field(30, gt=0, description="seconds between two looks at the counts")
    contest_interval: float = Field(1, gt=0, description="seconds between two looks while a contest goes on")
    ledger_interval: float = Field(
        300, gt=0, description="seconds for which new counts are in memory alone, at most; a crash may lose them"
    )
    prometheus_url: Address | Literal[""] = Field(
        "", description="base URL of the Prometheus that queries of contests are sent to by default; empty: none"
    )
    prometheus_sources: Sources = Field(
        (), description="other ones that specs may name, as NAME=URL, separated by commas; no other address is asked"
    )
    leader_elect: bool = Field(False, description="true: of several processes only the one that holds the lease works")
    lease_name: str = Field("kingmaker", description="name of that Lease, in the operator's namespace")
    identity: str = Field(
        default_factory=socket.gethostname,
        description="this process's name in the Lease: its pod's, nobody else's",
    )
    lease_seconds: int = Field(15, ge=3, description="seconds after which a silent leader is succeeded, at least 3")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="least level that is logged")

    @property
    def prometheus_addresses(self) -> dict[str, str]:
        """Base URLs by name; that of the default one is empty."""
        return {"": self.prometheus_url} | dict(source.split("=", 1) for source in self.prometheus_sources)


class _Command(BaseSettings):
    """Serves, challenges, watches and retrains models on Kubernetes."""

    model_config = SettingsConfigDict(cli_prog_name="kingmaker-operator", cli_kebab_case=True)

    run: CliSubCommand[Options] = Field(description="run the operator")


def parse(argv: list[str]) -> Options:
    """Read the command line and the environment.

    Args:
        argv: Arguments after the program's name, such as `["run", "--xds-port=18000"]`.

    Raises:
        UsageError: An option is missing or has a value that it can't have.
        SystemExit: Help was asked for (0), or the arguments are none that exist (2).
    """
    try:
        command = CliApp.run(_Command, cli_args=argv)
        options = get_subcommand(command, is_required=True, cli_exit_on_error=False)
    except ValidationError as error:
        raise UsageError("\n".join(_complaint(dict(e)) for e in error.errors())) from error
    except SettingsError as error:
        raise UsageError(f"{error}; say: kingmaker-operator run --help") from error
    assert isinstance(options, Options)
    return options


def _complaint(error: dict[str, object]) -> str:
    place = error["loc"]
    name = str(place[1]) if isinstance(place, tuple) and len(place) > 1 else "run"
    flag = f"--{name.replace('_', '-')} (or {PREFIX}{name.upper()})"
    if error["type"] == "missing":
        return f"{flag} is needed"
    return f"{flag}: {error['msg']}; found {error['input']!r}"
