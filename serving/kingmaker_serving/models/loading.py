"""Load a Model's files as `verify` and `serve` both must: digests first, then the model, baseline, examples, task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kingmaker_serving.counts.baseline import Column, VerifiedBaseline, read_baseline
from kingmaker_serving.counts.cells import CellCounts
from kingmaker_serving.digest import MAX_DOCUMENT_BYTES, read_verified
from kingmaker_serving.errors import Reason, VerbError
from kingmaker_serving.models.artifact import BASELINE, EXAMPLES, read_artifact
from kingmaker_serving.models.examples import read_examples, run_examples
from kingmaker_serving.models.session import ModelSession
from kingmaker_serving.protocol.signature import Signature, Task, check_task


@dataclass(frozen=True, slots=True)
class Digests:
    """What the files must hash to; None for a file that the Model does not have."""

    model: str
    baseline: str | None = None
    examples: str | None = None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that passed its own examples."""

    session: ModelSession
    size_bytes: int
    baseline: VerifiedBaseline | None
    samples: list[dict[str, np.ndarray]]
    """Inputs of its examples."""
    task: Task | None


def load_model(folder: Path, digests: Digests, *, task: Task | None, threads: int = 1) -> LoadedModel:
    """Load and self-test a model.

    Args:
        folder: Where `fetch` put the files.
        digests: What they must be; a file is not parsed before that is known.
        task: Which output means what.
        threads: Threads of one run.

    Raises:
        VerbError: With the reason; the message says what to do.
    """
    artifact = read_artifact(folder, digests.model)
    documents = {
        name: read_verified(folder / name, digest, max_bytes=MAX_DOCUMENT_BYTES)
        for name, digest in ((BASELINE, digests.baseline), (EXAMPLES, digests.examples))
        if digest is not None
    }
    session = ModelSession(artifact.content, files=artifact.files, threads=threads)
    if task is not None:
        check_task(task, session.signature)
    baseline = None
    if BASELINE in documents:
        baseline = read_baseline(documents[BASELINE], session.signature)
        count_features(baseline.document.features, session.signature)
        count_answers(answer_columns(baseline), session.signature)
    samples = []
    if EXAMPLES in documents:
        samples = run_examples(session, read_examples(documents[EXAMPLES]))
    return LoadedModel(session, artifact.size_bytes, baseline, samples, task)


def answer_columns(baseline: VerifiedBaseline) -> list[Column]:
    """Give the columns of prediction and score that the baseline has, in this order."""
    document = baseline.document
    return [column for column in (document.prediction, document.score) if column is not None]


def count_features(columns: Sequence[Column], signature: Signature) -> CellCounts:
    """Lay out counters over a model's inputs.

    Raises:
        VerbError: InvalidBaseline when an edge or a category is no value of its tensor's datatype.
    """
    return _count(columns, {spec.name: spec.datatype for spec in signature.inputs})


def count_answers(columns: Sequence[Column], signature: Signature) -> CellCounts:
    """Lay out counters over a model's outputs.

    Raises:
        VerbError: InvalidBaseline.
    """
    return _count(columns, {spec.name: spec.datatype for spec in signature.outputs})


def _count(columns: Sequence[Column], datatypes: dict[str, str]) -> CellCounts:
    try:
        return CellCounts(columns, datatypes)
    except (ValueError, TypeError, OverflowError) as error:
        message = f"baseline has an edge or a category that its tensor can't hold: {error}"
        raise VerbError(Reason.INVALID_BASELINE, message) from error
