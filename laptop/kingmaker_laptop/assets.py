"""Where the files are that come with the code: the control plane's source, the CRDs, the operator's RBAC rules.

In a checkout they lie in its top-level folders, in an installed wheel below this package.
"""

from pathlib import Path
from typing import Any, Final

import yaml

from kingmaker_laptop.errors import LocalError

_PACKAGED: Final = Path(__file__).parent / "assets"
_CHECKOUT: Final = Path(__file__).parents[2]


def control_plane_source() -> Path:
    """Find the folder of the Go module that holds every program of the control plane."""
    return _find("controlplane", "go.mod").parent


def custom_resource_definitions() -> list[dict[str, Any]]:
    """Read the CustomResourceDefinitions."""
    files = sorted(_find("crds", "*.yaml").parent.glob("*.yaml"))
    return [document for file in files for document in yaml.safe_load_all(file.read_text()) if document]


def operator_rules() -> list[dict[str, Any]]:
    """Read the RBAC rules that the chart gives the operator."""
    rules: list[dict[str, Any]] = yaml.safe_load(_find("charts/kingmaker/files", "rules.yaml").read_text())
    return rules


def _find(folder: str, pattern: str) -> Path:
    places = (_PACKAGED / Path(folder).name, _CHECKOUT / folder)
    for place in places:
        for match in place.glob(pattern):
            return match
    looked = " and ".join(str(place) for place in places)
    raise LocalError(f"no {pattern} in {looked}; the installation is incomplete, install kingmaker again")
