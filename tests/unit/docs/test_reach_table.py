"""The page on security shows exactly the table that packets are held against in a cluster."""

from pathlib import Path

from support.reach import ROWS, SOURCES, promised, table

PAGE = Path(__file__).parents[3] / "docs" / "security.md"


def test_the_page_shows_the_promised_table() -> None:
    drawn = "\n".join(f"    {line}" for line in table(promised()).splitlines())
    assert drawn in PAGE.read_text(), f"put this into {PAGE.name}:\n{drawn}"


def test_the_table_fits_a_terminal() -> None:
    assert max(map(len, table(promised()).splitlines())) <= 80


def test_every_reason_is_on_the_page() -> None:
    page = PAGE.read_text()
    assert [row.target for row in ROWS if f"| {row.text} | {row.why} |" not in page] == []


def test_whoever_may_connect_is_a_source() -> None:
    assert all(row.open_to <= SOURCES.keys() for row in ROWS)
