"""Put a baseline together: features, prediction and score, with all that the reference rows tell."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec
import numpy as np

from kingmaker_serving.counts.baseline import FORMAT, NO_SEASON, Baseline, Season
from kingmaker_serving.digest import MAX_DOCUMENT_BYTES
from kingmaker_serving.errors import ServingError
from kingmaker_serving.models.session import ModelSession
from kingmaker_serving.package import advice
from kingmaker_serving.package.answers import Answers, cut_prediction, cut_score, predict
from kingmaker_serving.package.holdout import JudgedRows
from kingmaker_serving.package.importance import importances, rows_for
from kingmaker_serving.package.reference import Cut, cut_column
from kingmaker_serving.package.tables import invalid
from kingmaker_serving.package.times import BUCKETS, PERIOD, Timeline, halved
from kingmaker_serving.protocol.signature import Signature, Task, TensorSpec

MAX_FEATURES: Final = 1000
_INDENTED_BYTES: Final = 256 * 1024
"""Documents of up to this size are written for people, too."""
_FEWEST_BUCKETS: Final = 3

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class ReferenceRows:
    """The rows that live ones are compared with, and the names of their columns by input.

    `names` has no entry for inputs that can't be counted by column. `categorical` names numbers that are no quantities.
    """

    all: JudgedRows
    names: Mapping[str, Sequence[str]]
    categorical: frozenset[str] = frozenset()

    def columns(self, spec: TensorSpec) -> np.ndarray:
        """Give an input's columns, shape (rows, columns)."""
        return self.all.feeds[spec.name].reshape(self.all.rows, -1)


@dataclass(slots=True)
class DocumentBuilder:
    """Builds one document. `warnings` says in sentences what it will not be good for, and how to mend that."""

    session: ModelSession
    task: Task | None
    progress: Progress
    warnings: list[str] = field(default_factory=list)
    _cuts: list[Cut] = field(default_factory=list)
    _seasons: list[np.ndarray | None] = field(default_factory=list)

    def build(self, reference: ReferenceRows, judged: JudgedRows, importance_rows: int | None) -> bytes:
        """Build the document.

        Args:
            reference: Whose features are counted.
            judged: Whose answers are.
            importance_rows: Rows that are shuffled to measure importance; None for a number that suits the number of
                features, 0 for none.

        Raises:
            VerbError: InvalidBaseline; the message says what does not fit.
        """
        features = self._features(reference)
        timeline = Timeline(reference.all.times) if reference.all.times is not None else None
        self._tell_times(features, timeline)
        if timeline is not None and not timeline.lengths:
            self.warnings.append(advice.short_windows(timeline.days))
        if timeline is not None and not timeline.has_season:
            self.warnings.append(advice.no_season(timeline.days))
        self._warn_of_few(reference.all.rows, "reference rows")
        document = Baseline(FORMAT, reference.all.rows, [cut.column for cut in features])
        if self.task is not None:
            self._add_answers(document, self.task, judged)
            if importance_rows != 0:
                self._weigh(document, self.task, reference.all.feeds, importance_rows or rows_for(len(features)))
        return self._encode(document)

    def _predict(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        names = [name for name in (self.task.label, self.task.score) if name is not None] if self.task else []
        return predict(self.session, feeds, names, fixed_rows(self.session.signature))

    def _weigh(self, document: Baseline, task: Task, feeds: Mapping[str, np.ndarray], wanted: int) -> None:
        """Measure the features' importance by shuffling some of the rows."""
        columns = [(feature.input, feature.column) for feature in document.features]
        picked = self._whole_runs(document.rows, wanted)

        def tell(done: int) -> None:
            self.progress(f"importance: {done} of {len(columns)} columns, {len(picked)} rows each")

        some = {name: array[picked] for name, array in feeds.items()}
        try:
            found = importances(self._predict, some, columns, task, tell)
        except ServingError as error:
            self.warnings.append(advice.unmeasured(error.message))
            return
        if found is not None:
            for feature, part in zip(document.features, found, strict=True):
                feature.importance = part

    def _encode(self, document: Baseline) -> bytes:
        """Write the document; where it would be too large, seasons are cut coarser, or left out."""
        seasons, buckets = self._seasons, BUCKETS
        has_season = any(season is not None for season in seasons)
        content = self._encode_with(document, seasons, buckets)
        while len(content) > MAX_DOCUMENT_BYTES:
            if not any(season is not None for season in seasons):
                found = f"the baseline has {len(content)} bytes, at most {MAX_DOCUMENT_BYTES} are read"
                raise invalid(f"{found}; leave out features, or texts of which hardly any two rows have the same")
            buckets = buckets // 2 if buckets // 2 >= _FEWEST_BUCKETS else 0
            seasons = [halved(season) if season is not None and buckets else None for season in seasons]
            content = self._encode_with(document, seasons, buckets)
        if has_season and buckets < BUCKETS:
            features = len(document.features)
            self.warnings.append(advice.coarse_season(buckets, BUCKETS, features, MAX_DOCUMENT_BYTES))
        return msgspec.json.format(content, indent=1) if len(content) <= _INDENTED_BYTES else content

    def _encode_with(self, document: Baseline, seasons: Sequence[np.ndarray | None], buckets: int) -> bytes:
        for cut, season in zip(self._cuts, seasons, strict=True):
            cut.column.season = NO_SEASON if season is None else msgspec.Raw(msgspec.json.encode(season.tolist()))
        document.season = Season(PERIOD, buckets) if any(season is not None for season in seasons) else None
        return msgspec.json.encode(document)

    def _features(self, reference: ReferenceRows) -> list[Cut]:
        wanted = list(self._columns(reference))
        names = [name for _, name, _ in wanted]
        unknown = sorted(reference.categorical.difference(names))
        if unknown:
            raise invalid(f"{unknown} are said to be categorical, but the features are {str(names)[:500]}")
        if len(wanted) > MAX_FEATURES:
            raise invalid(f"the model has {len(wanted)} feature columns, at most {MAX_FEATURES} can be watched")
        found = []
        for spec, name, column in wanted:
            values = reference.columns(spec)[:, column]
            is_category = name in reference.categorical
            found.append(
                cut_column(
                    values,
                    datatype=spec.datatype,
                    name=name,
                    input=spec.name,
                    column=column,
                    is_category=is_category,
                )
            )
            self.progress(f"cells: {len(found)} of {len(wanted)} columns")
        return found

    def _columns(self, reference: ReferenceRows) -> Iterator[tuple[TensorSpec, str, int]]:
        """Give input, name and place of all columns."""
        for spec in self.session.signature.inputs:
            if spec.name not in reference.names:
                continue
            width = reference.columns(spec).shape[1]
            names = list(reference.names[spec.name])
            if not names:
                names = [spec.name] if width == 1 else [f"{spec.name}_{index}" for index in range(width)]
            if len(names) != width:
                raise invalid(
                    f"{len(names)} feature names for the {width} columns of input {spec.name!r}; give one per column"
                )
            yield from ((spec, name, column) for column, name in enumerate(names))

    def _add_answers(self, document: Baseline, task: Task, judged: JudgedRows) -> None:
        answers = Answers(self._predict(judged.feeds), judged)
        prediction = cut_prediction(task, self.session.signature, answers)
        score = cut_score(task, self.session.signature, answers, prediction)
        cuts = [cut for cut in (prediction, score) if cut is not None]
        self._tell_times(cuts, Timeline(judged.times) if judged.times is not None else None)
        document.prediction, document.score = (cut.column if cut else None for cut in (prediction, score))
        if cuts and not judged.held_out:
            self.warnings.append(advice.NOT_HELD_OUT)
        elif cuts:
            self._warn_of_few(judged.rows, "held-out rows")
            if judged.labels is None:
                self.warnings.append(advice.NO_LABELS)

    def _tell_times(self, cuts: Sequence[Cut], timeline: Timeline | None) -> None:
        """Add to columns what times tell."""
        for cut in cuts:
            self._cuts.append(cut)
            self._seasons.append(timeline.season(cut) if timeline else None)
            cut.column.dispersion = (timeline.dispersion(cut) or None) if timeline else None

    def _whole_runs(self, rows: int, wanted: int) -> np.ndarray:
        """Pick rows spread evenly over all; as many as a model takes at a time, or a multiple of them."""
        step = fixed_rows(self.session.signature) or 1
        runs = max(1, min(wanted, rows) // step)
        first = np.unique(np.linspace(0, rows // step - 1, num=runs).astype(int)) * step
        return np.asarray((first[:, None] + np.arange(step)).ravel())

    def _warn_of_few(self, rows: int, what: str) -> None:
        warning = advice.few_rows(rows, what)
        if warning:
            self.warnings.append(warning)


def fixed_rows(signature: Signature) -> int | None:
    """Give the number of rows of every run, where the file fixes it."""
    return next((spec.shape[0] for spec in signature.inputs if spec.shape and spec.shape[0] > 0), None)
