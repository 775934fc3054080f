"""What somebody in a container sees and can do, with nothing but the bash that every image has."""

from dataclasses import dataclass

from support.cluster import Cluster

_PROBE = """
for target in "$@"; do
  ( place=${target#*=}
    if timeout 3 bash -c "exec 3<>/dev/tcp/${place%:*}/${place##*:}" 2>/dev/null; then answer=1; else answer=0; fi
    echo "${target%%=*} $answer" ) &
done
wait
"""

_LOOK = """
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | while read -r name value _; do
  echo "status ${name%:} $value"
done
while read -r _ place _; do
  if [ -d "$place" ]; then
    if touch "$place/.written" 2>/dev/null; then rm "$place/.written"; echo "writable $place"; fi
  elif [ -f "$place" ] && [ -w "$place" ]; then echo "writable $place"; fi
done < /proc/self/mounts
if [ -e /var/run/secrets/kubernetes.io ]; then echo "token"; fi
echo "first $(tr '\\0' ' ' < /proc/1/cmdline)"
tr '\\0' '\\n' < /proc/1/environ | sed 's/^/environment /'
"""


@dataclass(frozen=True)
class Inside:
    """What a container looks like to whoever is in it.

    Attributes:
        status: Of a process: user, capabilities, whether it may gain privileges, seccomp mode.
        writable: Mounted places that can be written to.
        has_token: Whether there is anything of a ServiceAccount's.
        first_process: Its command; another container's would mean a shared namespace.
        environment: Of that process, a line each.
    """

    status: dict[str, str]
    writable: set[str]
    has_token: bool
    first_process: str
    environment: str


@dataclass(frozen=True)
class Place:
    """A container in which a connection begins."""

    cluster: Cluster
    namespace: str
    pod: str
    container: str

    def reaches(self, targets: dict[str, str]) -> dict[str, bool]:
        """Connect from here to every target at once, 3 seconds each, and say which connections came about."""
        listed = [f"{name}={address}" for name, address in targets.items()]
        said = self._bash(_PROBE, *listed)
        answers = dict(line.split() for line in said.splitlines())
        return {name: answers[name] == "1" for name in targets}

    def look_around(self) -> Inside:
        """Say what can be seen and written from here."""
        said = self._bash(_LOOK)
        lines = [line.partition(" ")[::2] for line in said.splitlines()]
        told = {kind: [rest for known, rest in lines if known == kind] for kind, _ in lines}
        return Inside(
            status=dict(map(str.split, told["status"])),
            writable=set(told.get("writable", ())),
            has_token="token" in told,
            first_process=told["first"][0],
            environment="\n".join(told["environment"]),
        )

    def _bash(self, script: str, *arguments: str) -> str:
        command = ("bash", "-c", script, "bash", *arguments)
        return self.cluster.execute(self.namespace, self.pod, *command, container=self.container)
