"""The frame of the benchmark of decisions: what stands in the table, the file and the report."""

from pathlib import Path

import pytest

from benchmarks.common.figures import Figure
from benchmarks.decisions import __main__ as frame
from benchmarks.decisions.measuring import measure, modules
from benchmarks.decisions.options import Options
from benchmarks.decisions.plots import plot
from benchmarks.decisions.report import write_report
from benchmarks.decisions.table import WIDTH, print_table, rows

OTHERS = {"evidently 0.7.23, any column": 0.61, "nannyml": "not installed: no such wheel"}
FIGURE = Figure("B1 false alarms without drift, at the worst of all n", 0.043, 0.05, "", {"others": OTHERS})


def test_an_opponent_stands_below_its_figure_and_need_not_hold() -> None:
    found = list(rows([FIGURE]))
    assert found[0] == (FIGURE.name, "0.043", "≤ 0.05", "yes")
    assert [row[1:] for row in found[1:]] == [("0.61", "", ""), ("not installed", "", "")]


def test_the_table_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([FIGURE, Figure("B3 " + "very " * 20 + "long", 1e9, 2e9, "requests", at_least=True)])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert any(line.rstrip().endswith("NO") for line in lines)


def test_every_figure_can_be_asked_for() -> None:
    names = {name.partition("_")[0] for name in modules()}
    assert set(frame.parse([]).only) == names
    for name in names:
        assert frame.parse(["--only", name.upper()]).only == [name]
    with pytest.raises(SystemExit):
        frame.parse(["--only", "b99"])


def test_the_report_says_what_it_could_not_draw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    drawn = plot("p", {"kingmaker": [(0, 1)]}, x="n", y="share")
    # Nothing can be installed below a file.
    options = Options(environments=tmp_path / "file" / "below")
    write_report([Figure("f", 1, 2, "", {"plots": [drawn]}), FIGURE], options, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "Plots are not drawn: not installed" in text
    assert "evidently 0.7.23, any column" in text
    assert "<svg" not in text


def test_figures_come_from_processes_and_others_stand_beside_them() -> None:
    ((name, figures, seconds),) = measure(["b7"], Options(is_quick=True), 1)
    assert name == "b7"
    assert seconds > 0
    assert [figure.value for figure in figures] == [0] * 6
