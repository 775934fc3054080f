"""The demo's rows: what each world does to them, and that training and judging never share one."""

from pathlib import Path

import numpy as np
import pytest

from kingmaker_laptop.demo.population import BROKEN_FACTOR, Pool, Population, World, read_pool

NAMES = ("mean radius", "mean texture", "worst radius")


def a_pool(*rows: tuple[float, float, float], label: int = 0) -> Pool:
    return Pool(NAMES, np.array(rows, dtype=float), np.full(len(rows), label))


def a_population(seed: int = 0) -> Population:
    recorded = a_pool((10.0, 1.0, 20.0), (12.0, 2.0, 30.0), label=0)
    judged = a_pool((14.0, 3.0, 40.0), (16.0, 4.0, 50.0), label=1)
    return Population(recorded, judged, seed=seed)


def test_requests_have_one_to_four_rows_of_one_pool() -> None:
    population = a_population()
    drawn = [population.draw(World.NORMAL) for _ in range(300)]
    assert {len(d.labels) for d in drawn} == {1, 2, 3, 4}
    assert all((d.labels == (0 if d.is_recorded else 1)).all() for d in drawn)


def test_half_of_the_requests_are_recorded() -> None:
    population = a_population()
    share = np.mean([population.draw(World.NORMAL).is_recorded for _ in range(2000)])
    assert 0.45 < share < 0.55


def test_drawn_rows_never_leave_the_range_of_the_data() -> None:
    population = a_population()
    for world in (World.NORMAL, World.SHIFTED):
        features = np.concatenate([population.draw(world).features for _ in range(500)])
        assert (features >= [10.0, 1.0, 20.0]).all()
        assert (features <= [16.0, 4.0, 50.0]).all()


def test_no_request_repeats_another() -> None:
    population = a_population()
    rows = np.concatenate([population.draw(World.NORMAL).features for _ in range(200)])
    inside = rows[(rows[:, 0] > 10.0) & (rows[:, 0] < 16.0), 0]
    assert len(np.unique(inside)) == len(inside)


def test_the_same_seed_draws_the_same_rows() -> None:
    first, second = a_population(7), a_population(7)
    for _ in range(20):
        assert (first.draw(World.NORMAL).features == second.draw(World.NORMAL).features).all()


def test_a_broken_unit_changes_one_feature_by_its_factor() -> None:
    rows = np.array([[10.0, 1.0, 20.0], [16.0, 4.0, 50.0]])
    seen = a_population().seen_in(World.BROKEN_UNIT, rows)
    assert (seen[:, 0] == rows[:, 0] * BROKEN_FACTOR).all()
    assert (seen[:, 1:] == rows[:, 1:]).all()


def test_a_shift_raises_the_scanner_features_and_keeps_their_ends_and_order() -> None:
    rows = np.array([[10.0, 1.0, 20.0], [12.0, 2.0, 30.0], [14.0, 3.0, 40.0], [16.0, 4.0, 50.0]])
    seen = a_population().seen_in(World.SHIFTED, rows)
    assert (seen[:, :2] == rows[:, :2]).all()
    assert seen[[0, -1], 2].tolist() == [20.0, 50.0]
    assert (seen[1:-1, 2] > rows[1:-1, 2]).all()
    assert (np.diff(seen[:, 2]) > 0).all()


@pytest.mark.parametrize("world", list(World))
def test_the_rows_handed_in_are_left_alone(world: World) -> None:
    rows = np.array([[12.0, 2.0, 30.0]])
    a_population().seen_in(world, rows)
    assert rows.tolist() == [[12.0, 2.0, 30.0]]


def test_a_pool_is_read_by_its_label_column(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("mean radius,malignant,worst radius\n1.5,1,2.5\n3.5,0,4.5\n")
    pool = read_pool(path, "malignant")
    assert pool.names == ("mean radius", "worst radius")
    assert pool.features.tolist() == [[1.5, 2.5], [3.5, 4.5]]
    assert pool.labels.tolist() == [1, 0]


@pytest.mark.parametrize("text", ["mean radius\n1.5\n", "mean radius,malignant\n"], ids=["no label", "no rows"])
def test_a_file_without_labels_or_rows_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match="expected a column 'malignant' and at least one row"):
        read_pool(path, "malignant")
