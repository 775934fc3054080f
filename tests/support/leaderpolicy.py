"""The chart's policy that lets only the leader write, as Helm renders it for a release `kingmaker`."""

import re
from pathlib import Path

import yaml

from kingmaker_laptop.bootstrap import ACCOUNT, NAMESPACE

CHART = Path(__file__).parents[2] / "charts" / "kingmaker"
POLICY = f"{NAMESPACE}-{ACCOUNT}-leader"

_VALUES = {
    "$policy": POLICY,
    ".Release.Namespace": NAMESPACE,
    'include "kingmaker.name" .': ACCOUNT,
    '- include "kingmaker.labels" . | nindent 4': "{}",
}


def leader_policy() -> str:
    """Give the manifests; the template uses so little of Helm that nothing of it is needed."""
    text = (CHART / "templates" / "admission-leader.yaml").read_text()
    text = re.sub(r"\{\{- /\*.*?\*/ -\}\}", "", text, flags=re.DOTALL)
    text = re.sub(r"^\{\{-? (if|end|\$policy :=).*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\{\{(.+?)\}\}", lambda found: _VALUES[found.group(1).strip()], text)
    assert "{{" not in text
    return text


def lease_rules() -> list[dict]:
    """Give the permissions that electing a leader needs."""
    return yaml.safe_load((CHART / "files" / "lease-rules.yaml").read_text())
