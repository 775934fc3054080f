"""What examples/ tells Prometheus and prometheus-adapter fits the pods and the autoscalers that the operator writes."""

import re
from pathlib import Path
from typing import Any

import yaml

from kingmaker.api import Autoscaling
from kingmaker.core.manifests.autoscaler import IN_FLIGHT, autoscaler
from kingmaker.core.manifests.serving import variant_deployment
from support.every_manifest import SETTINGS
from support.manifest_objects import a_deployment, a_model

FOLDER = Path(__file__).parents[3] / "examples" / "autoscaling" / "monitoring"
SCALING = Autoscaling.model_validate({"maxReplicas": 4, "targetConcurrency": 8})


def load(file: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / file).read_text(encoding="utf-8"))


def test_prometheus_keeps_the_port_that_has_the_metrics_and_no_other() -> None:
    (job,) = load("prometheus.yml")["scrape_configs"]
    keep = next(rule for rule in job["relabel_configs"] if rule.get("action") == "keep")
    template = variant_deployment(a_deployment(), a_model(), replicas=2, settings=SETTINGS)["spec"]["template"]
    name = template["metadata"]["labels"]["app.kubernetes.io/name"]
    ports = [port for container in template["spec"]["containers"] for port in container["ports"]]
    kept = [port["containerPort"] for port in ports if re.fullmatch(keep["regex"], f"{name};{port['name']}")]
    assert kept == [8082]


def test_the_adapter_offers_the_metric_that_autoscalers_ask_for() -> None:
    (rule,) = load("adapter.yml")["rules"]
    wanted = autoscaler(a_deployment(), "churn-1", SCALING, floor=2, may_shrink=True)["spec"]["metrics"]
    assert [metric["pods"]["metric"]["name"] for metric in wanted] == [IN_FLIGHT]
    assert rule["seriesQuery"].startswith(f"{IN_FLIGHT}{{")
