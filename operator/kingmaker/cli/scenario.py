"""What a simulation is about: the ModelDeployment, its Models and their baselines from files, and other settings."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from kingmaker.api import Model, ModelDeployment
from kingmaker.api.crdgen import build_schema
from kingmaker.core.counts.baseline import Baseline, read_baseline
from kingmaker_laptop.errors import LocalError

_READY: Final = {"type": "Ready", "status": "True", "reason": "Verified", "lastTransitionTime": "1970-01-01T00:00:00Z"}
Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated: `title` names what differs from the file, empty when nothing does."""

    title: str
    mdep: ModelDeployment


@dataclass(frozen=True, slots=True)
class Files:
    """What was read: the deployment's manifest, Models by name, baselines by digest, and by digest as documents."""

    deployment: Manifest
    models: Mapping[str, Model]
    baselines: Mapping[str, Baseline]
    documents: Mapping[str, Mapping[str, Any]]

    @property
    def champion_baseline(self) -> str:
        """Digest of the champion's baseline; empty without one."""
        file = self.models[self.champion].spec.baseline
        return str(file.digest) if file else ""

    @property
    def champion(self) -> str:
        """Whom the spec puts in the seat."""
        return str(self.deployment["spec"]["championRef"]["name"])


def read_files(path: Path, baselines: Mapping[str, Path]) -> Files:
    """Read a ModelDeployment and what goes with it.

    Args:
        path: YAML with one ModelDeployment and any number of Models. Models that it names and that are not there are
            taken as verified ones of the champion's family.
        baselines: Files of baseline documents by model; "" is the champion's, which those without one have, too: the
            same rows are counted into its cells whoever answers.

    Raises:
        LocalError: Something can't be read; the message names it.
    """
    try:
        documents = [d for d in yaml.safe_load_all(path.read_text(encoding="utf-8")) if isinstance(d, dict)]
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise LocalError(f"{path}: {error}") from error
    deployments = [d for d in documents if d.get("kind") == "ModelDeployment"]
    if len(deployments) != 1:
        raise LocalError(f"{path}: found {len(deployments)} ModelDeployments, expected one (and Models, if you like)")
    deployment = _complete(deployments[0])
    mdep = parse(deployment, path)
    champion = str(mdep.spec.champion_ref.name)
    found, texts = {}, {}
    for model, file in baselines.items():
        baseline, document = _baseline(file)
        found[model or champion], texts[baseline.digest] = baseline, document
    given = {str(d["metadata"]["name"]): d for d in documents if d.get("kind") == "Model"}
    names = [champion, *(str(c.model_ref.name) for c in mdep.spec.challengers), *given]
    family = given.get(champion, {}).get("spec", {}).get("family", "simulated")
    common = found.get(champion)
    models = {n: _model(n, given.get(n), family, found.get(n, common), path) for n in dict.fromkeys(names)}
    return Files(deployment, models, {b.digest: b for b in found.values()}, texts)


def parse(deployment: Manifest, path: Path) -> ModelDeployment:
    """Read a ModelDeployment.

    Raises:
        LocalError: Its spec does not fit, or has a field that there is not; the message names the first place.
    """
    for unknown in unknown_fields(deployment.get("spec"), _schema()["properties"]["spec"], "spec"):
        raise LocalError(f"{path}: there is no field {unknown}; kingmaker.dev/v1alpha1 has those of docs/spec")
    try:
        return ModelDeployment.parse(deployment)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise LocalError(f"{path}: {place}: {first['msg']}") from error


@lru_cache(maxsize=1)
def _schema() -> Mapping[str, Any]:
    return build_schema(ModelDeployment)


def unknown_fields(value: object, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    """Name the fields that a schema does not have: an API server would drop them, and nobody would be told.

    Args:
        value: Any JSON.
        schema: Its structural schema.
        place: Where the value is, such as `spec.contest`.
    """
    if isinstance(value, list):
        for number, entry in enumerate(value):
            yield from unknown_fields(entry, schema.get("items", {}), f"{place}[{number}]")
    known = schema.get("properties")
    if not isinstance(value, dict) or known is None:
        return
    for name, part in value.items():
        if name in known:
            yield from unknown_fields(part, known[name], f"{place}.{name}")
        elif "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{place}.{name}"


def scenarios(files: Files, what_if: Sequence[Sequence[str]], path: Path) -> list[Scenario]:
    """Give the file's own settings, and one scenario per list of `key.path=value`.

    Raises:
        LocalError: A setting has no `=`, or does not fit.
    """
    found = [Scenario("", parse(files.deployment, path))]
    for settings in what_if:
        changed = copy.deepcopy(files.deployment)
        for setting in settings:
            _set(changed["spec"], setting)
        found.append(Scenario(" ".join(settings), parse(changed, Path(f"--what-if {' '.join(settings)}"))))
    return found


def _set(spec: Manifest, setting: str) -> None:
    key, equals, text = setting.partition("=")
    parts = key.removeprefix("spec.").split(".")
    if not equals or not all(parts):
        raise LocalError(f"--what-if {setting!r}: expected key.path=value, such as contest.verdict.margin=0.05")
    place: Any = spec
    for part in parts[:-1]:
        place = _child(place, part, setting)
    last = parts[-1]
    value = yaml.safe_load(text) if text[:1] in ("[", "{") or text in ("true", "false", "null") else text
    if isinstance(place, list):
        place[_index(place, last, setting)] = value
    else:
        place[last] = int(text) if text.isdigit() and isinstance(place.get(last), int) else value


def _child(place: Any, part: str, setting: str) -> Any:  # noqa: ANN401  # any JSON
    if isinstance(place, list):
        return place[_index(place, part, setting)]
    found = place.setdefault(part, {})
    if not isinstance(found, dict | list):
        raise LocalError(f"--what-if {setting!r}: {part} is {found!r}, which has no fields")
    return found


def _index(place: list[Any], part: str, setting: str) -> int:
    """Find an entry of a list by its name, or by its number from 0."""
    names = [str(entry.get("name")) if isinstance(entry, dict) else "" for entry in place]
    if part in names:
        return names.index(part)
    if part.isdigit() and int(part) < len(place):
        return int(part)
    raise LocalError(f"--what-if {setting!r}: no entry {part!r}; there are {', '.join(names) or 'none'}")


def _complete(deployment: Manifest) -> Manifest:
    """Give it what the API server would have."""
    metadata = {"namespace": "default", "uid": "simulated", "generation": 1, **deployment.get("metadata", {})}
    spec = copy.deepcopy(deployment.get("spec") or {})
    # How many pods there are is nothing that a history tells.
    spec["serving"] = {"replicas": 1}
    # Nor is who sent which request: each is its own entity.
    if isinstance(spec.get("routing"), dict):
        spec["routing"].pop("affinity", None)
    return {**deployment, "metadata": metadata, "spec": spec, "status": {}}


def _model(name: str, body: Manifest | None, family: str, baseline: Baseline | None, path: Path) -> Model:
    artifact = {"format": "ONNX", "uri": f"file:///{name}", "digest": _digest(name)}
    made = {"family": family, "version": "1", "artifact": artifact}
    given = body or {"apiVersion": "kingmaker.dev/v1alpha1", "kind": "Model", "metadata": {"name": name}, "spec": made}
    spec = dict(given.get("spec") or {})
    spec.pop("baseline", None)
    if baseline is not None:
        spec["baseline"] = {"uri": f"file:///{name}.json", "digest": baseline.digest}
    metadata = {
        "namespace": "default",
        "uid": f"uid-{name}",
        "creationTimestamp": "1970-01-01T00:00:00Z",
        **(given.get("metadata") or {}),
    }
    try:
        return Model.parse({**given, "metadata": metadata, "spec": spec, "status": {"conditions": [_READY]}})
    except ValidationError as error:
        first = error.errors()[0]
        raise LocalError(f"{path}: Model {name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _baseline(path: Path) -> tuple[Baseline, Mapping[str, Any]]:
    try:
        raw = path.read_bytes()
        baseline = read_baseline(raw, digest=f"sha256:{hashlib.sha256(raw).hexdigest()}")
    except (OSError, ValueError) as error:
        raise LocalError(f"{path}: {error}") from error
    document: Mapping[str, Any] = json.loads(raw)
    return baseline, document


def _digest(name: str) -> str:
    return f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
