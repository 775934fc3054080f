"""The chart starts the operator with options that it has, and every setting can be reached from a value."""

import re
from dataclasses import fields
from pathlib import Path

from kingmaker.core.manifests.settings import Settings
from kingmaker.options import parse

TEMPLATE = (Path(__file__).parents[3] / "charts" / "kingmaker" / "templates" / "deployment.yaml").read_text()
FLAGS = re.findall(r"^ +- (--[a-z-]+)=", TEMPLATE, flags=re.MULTILINE)


def sample(flag: str) -> str:
    chosen = {"--leader-elect": "true", "--image-pull-policy": "Never", "--verify-memory": "8Gi"}
    addresses = {"--prometheus-url": "http://prometheus:9090", "--prometheus-sources": "other=https://[::1]:9090/base"}
    chosen |= addresses
    if flag in chosen:
        return chosen[flag]
    return "5" if flag.endswith(("-port", "-replicas", "-seconds", "-interval")) else "x"


def test_the_operator_knows_every_option() -> None:
    given = [f"{flag}={sample(flag)}" for flag in FLAGS]
    assert parse(["run", *given]).serving_image == "x"


def test_every_setting_is_given_but_those_that_suit_everybody() -> None:
    given = {flag.removeprefix("--").replace("-", "_") for flag in FLAGS}
    assert {field.name for field in fields(Settings)} - given == {"verify_deadline_seconds", "model_size_limit"}


def test_who_leads_is_told_by_the_name_of_its_pod() -> None:
    """The Lease's name is what files/lease-rules.yaml lets the operator write, the holder's what a policy compares."""
    assert "- --leader-elect=true\n" in TEMPLATE
    assert "- --lease-name=kingmaker\n" in TEMPLATE
    assert re.search(r"name: KINGMAKER_IDENTITY\n +valueFrom: {fieldRef: {fieldPath: metadata.name}}", TEMPLATE)
