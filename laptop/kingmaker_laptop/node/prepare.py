"""Turn a container's spec into a command that can be run: environment, expansion, real paths."""

from pathlib import Path

from kingmaker_laptop.node.environment import build_environment, sources_of
from kingmaker_laptop.node.expansion import expand
from kingmaker_laptop.node.fields import PodFacts
from kingmaker_laptop.node.mountpaths import MountPaths
from kingmaker_laptop.node.podfolder import PodFolder
from kingmaker_laptop.node.podspec import Container, PodSpec
from kingmaker_laptop.node.process import Command
from kingmaker_laptop.node.tools import NodeTools
from kingmaker_laptop.node.volumes import PodVolumes

TERMINATION_LOG = "termination-log"


async def prepare_command(
    container: Container,
    *,
    pod: PodSpec,
    facts: PodFacts,
    volumes: PodVolumes,
    folder: PodFolder,
    attempt: Path,
    tools: NodeTools,
) -> Command:
    """Resolve everything that a run of the container needs.

    Raises:
        ContainerConfigError: A ConfigMap, Secret or key isn't there.
        VolumeError: A mount leads nowhere.
        ApiError: The API server doesn't answer.
    """
    sources = {
        (collection, name): await tools.watches.read(collection, pod.namespace, name)
        for collection, name in sources_of(container)
    }
    asked = build_environment(container, pod=pod, facts=facts, sources=sources)
    folders = _real_folders(container, variables=asked, volumes=volumes, attempt=attempt)
    paths = MountPaths(folders)
    argv = tuple(paths.replace(expand(text, asked)) for text in container.command + container.args)
    base = {"PATH": tools.settings.search_path, "HOME": str(folder.home), "LANG": tools.settings.language}
    env = base | {name: paths.replace(value) for name, value in asked.items()}
    cwd = paths.replace(container.working_dir) if container.working_dir else str(folder.home)
    return Command(argv, env, cwd, folders)


def _real_folders(
    container: Container, *, variables: dict[str, str], volumes: PodVolumes, attempt: Path
) -> dict[str, str]:
    """Map a container's mount paths, and the path of its termination log, to real ones."""
    folders = {container.termination_log: str(attempt / TERMINATION_LOG)}
    for mount in container.mounts:
        sub_path = expand(mount.sub_path_expr, variables) if mount.sub_path_expr else mount.sub_path
        folders[mount.path] = str(volumes.path_of(mount, sub_path))
    return folders
