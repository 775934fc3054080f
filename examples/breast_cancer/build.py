"""Train and package the models of the demo, and write the rows that its traffic is drawn from.

python examples/breast_cancer/build.py --out DIR
"""

import argparse
from pathlib import Path
from typing import Any

import yaml
from bundle import package_model
from dataset import Parts, load_parts, write_csv
from models import error_rate, good, harmful, weak
from sklearn.base import ClassifierMixin

LABELS = {"screening-2": {"example.com/contest": "open"}}
"""Labels of Models: those that enrol a challenger."""


def main() -> None:
    """Build everything below --out and say how good each model is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder; created")
    out = parser.parse_args().out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    parts = load_parts()
    write_csv(out / "recorded.csv", parts.names, parts.recorded)
    write_csv(out / "judged.csv", parts.names, parts.judged)
    models = {
        "screening-1": weak(parts.names, parts.training),
        "screening-2": good(parts.training),
        "screening-hotfix": harmful(parts.names, parts.training),
    }
    for name, model in models.items():
        print(build(out, parts, name, model))


def build(out: Path, parts: Parts, name: str, model: ClassifierMixin) -> str:
    """Package one model and describe it in a line."""
    wrong = error_rate(model, parts.judged)
    folder = out / name
    result = package_model(
        model,
        name=name,
        version=name.rpartition("-")[2],
        names=parts.names,
        rows=parts.training,
        held_out=parts.judged,
        source="sklearn.datasets.load_breast_cancer",
        out=folder,
        accuracy=1 - wrong,
    )
    add_labels(folder / "model.yaml", LABELS.get(name, {}))
    return f"{name}: wrong on {wrong:.1%} of {len(parts.judged)} rows, {result['artifact']['digest']}"


def add_labels(path: Path, labels: dict[str, str]) -> None:
    """Put labels on a manifest."""
    if labels:
        manifest: dict[str, Any] = yaml.safe_load(path.read_text())
        manifest["metadata"].setdefault("labels", {}).update(labels)
        path.write_text(yaml.safe_dump(manifest, sort_keys=False))


if __name__ == "__main__":
    main()
