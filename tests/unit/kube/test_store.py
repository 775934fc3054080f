"""The store's algebra: whatever is told in whatever order, it goes forward, and ends where the API server is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kingmaker.kube.store import Change, Collection, Kind, Store

LABEL = "team"


def body(name: str = "a", version: int = 1, uid: str = "u1", **labels: str) -> dict[str, Any]:
    meta = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"kind": "Thing", "metadata": meta}


def a_collection() -> Collection:
    return Collection("Thing", Kind(labels=(LABEL,), indices={"first": lambda b: [b["metadata"]["name"][0]]}))


def versions(collection: Collection) -> dict[str, str]:
    return {b["metadata"]["name"]: b["metadata"]["resourceVersion"] for b in collection.all("ns")}


def test_an_older_watch_event_does_not_take_back_what_was_written() -> None:
    found = a_collection()
    found.put(body(version=1))
    assert found.put(body(version=5), is_own=True) is not None
    assert found.put(body(version=3)) is None
    assert found.put(body(version=5)) is None
    assert versions(found) == {"a": "5"}


def test_a_state_that_was_put_together_gives_way_to_the_whole_of_its_version() -> None:
    found = a_collection()
    found.put(body(version=4))
    assert found.put(body(version=5, team="pieced"), is_own=True, is_whole=False) is not None
    assert found.put(body(version=4, team="late")) is None
    assert found.put(body(version=5, team="whole")) is not None
    # Once only, and never the other way round.
    assert found.put(body(version=5, team="again")) is None
    assert found.put(body(version=5, team="pieced"), is_own=True, is_whole=False) is None
    assert [b["metadata"]["labels"] for b in found.all("ns")] == [{"team": "whole"}]


def test_the_answer_of_a_write_does_not_bring_back_what_was_deleted_since() -> None:
    found = a_collection()
    found.put(body(version=1))
    found.drop(body(version=7))
    assert found.put(body(version=6), is_own=True) is None
    assert versions(found) == {}


def test_what_we_deleted_stays_deleted_whatever_is_told_of_it() -> None:
    found = a_collection()
    found.put(body(version=1))
    assert found.bury("ns", "a", "u1") == Change("Thing", body(version=1), None, is_own=True)
    assert found.put(body(version=2)) is None
    found.drop(body(version=3))
    assert found.put(body(version=2)) is None
    assert found.put(body(version=4, uid="u2")) is not None


def test_a_deletion_of_an_earlier_object_leaves_its_successor() -> None:
    found = a_collection()
    found.put(body(version=9, uid="u2"))
    assert found.bury("ns", "a", "u1") is None
    assert found.drop(body(version=8, uid="u1")) is None
    assert versions(found) == {"a": "9"}


def test_what_left_the_selector_may_come_back() -> None:
    found = a_collection()
    found.put(body(version=1))
    found.drop(body(version=2))
    assert found.put(body(version=3)) is not None


def test_a_list_removes_what_it_lacks_unless_that_is_newer() -> None:
    found = a_collection()
    found.put(body("gone", 1))
    found.put(body("again", 2, uid="old"))
    found.put(body("new", 12))
    changes = list(found.replace("ns", [body("again", 8, uid="new")], "10"))
    assert versions(found) == {"again": "8", "new": "12"}
    assert [(c.before and c.before["metadata"]["name"], c.after and c.after["metadata"]["uid"]) for c in changes] == [
        ("again", "new"),
        ("gone", None),
    ]
    # What the watch told before the list was made, and is handed over late.
    assert found.put(body("gone", 9)) is None


def test_a_read_that_finds_nothing_removes_only_what_was_known_before_it() -> None:
    found = a_collection()
    found.put(body(version=1))
    known = found.get("ns", "a")
    assert known is not None
    found.put(body(version=3, uid="u2"))
    assert found.miss(known) is None
    current = found.get("ns", "a")
    assert current is not None
    assert found.miss(current) is not None
    assert versions(found) == {}


def test_what_a_read_gave_before_a_list_without_it_stays_away() -> None:
    found = a_collection()
    list(found.replace("ns", [body("b", 3)], "10"))
    assert found.put(body("a", 4)) is None
    assert found.put(body("a", 11)) is not None


def test_what_no_watch_tells_of_is_not_kept() -> None:
    found = Collection("Thing", Kind(selector={LABEL: "x"}))
    assert found.put(body("a", 1)) is None
    assert found.put(body("a", 2, team="x")) is not None
    assert found.put(body("a", 3)) == Change("Thing", body("a", 2, team="x"), None)
    assert versions(found) == {}


def test_indices_follow() -> None:
    found = a_collection()
    found.put(body("a", 1, team="x", env="p"))
    found.put(body("b", 2, team="x", env="q"))
    assert [b["metadata"]["name"] for b in found.all("ns", {"team": "x", "env": "q"})] == ["b"]
    assert [b["metadata"]["name"] for b in found.by("first", "ns", "a")] == ["a"]
    found.put(body("a", 3, team="y"))
    assert [b["metadata"]["name"] for b in found.all("ns", {"team": "x"})] == ["b"]
    found.drop(body("b", 4))
    assert found.all("ns", {"team": "x"}) == []
    assert found.by("first", "ns", "b") == []
    assert found.all("other") == []


def test_a_namespace_is_synced_when_every_kind_was_listed_in_it() -> None:
    store = Store({"One": Kind(), "Two": Kind()})
    store.replace("One", "", [], "1")
    assert not store.is_synced("ns")
    store.replace("Two", "ns", [], "1")
    assert store.is_synced("ns")
    assert not store.is_synced("other")


def test_listeners_hear_of_a_list_when_all_of_it_is_in() -> None:
    store = Store({"Thing": Kind()})
    heard: list[int] = []
    store.listen(lambda _: heard.append(len(store.kinds["Thing"])))
    store.replace("Thing", "", [body("a"), body("b")], "1")
    assert heard == [2, 2]


@dataclass
class Server:
    """One collection of an API server: its history, and what is on its way to the store."""

    version: int = 0
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    watch: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: list[tuple[str, Any]] = field(default_factory=list)
    lists: list[tuple[list[dict[str, Any]], int]] = field(default_factory=list)
    uids: int = 0

    def write(self, name: str) -> dict[str, Any]:
        self.version += 1
        known = self.objects.get(name)
        if known is None:
            self.uids += 1
        uid = known["metadata"]["uid"] if known else f"u{self.uids}"
        self.objects[name] = body(name, self.version, uid, team=str(self.version))
        self.watch.append(("PUT", self.objects[name]))
        return self.objects[name]

    def next_answer(self, which: int) -> tuple[str, Any]:
        """Give an answer: of one object they come in order, for the operator waits for one before it writes again."""
        names = [about[0] if what == "BURY" else about["metadata"]["name"] for what, about in self.answers]
        return self.answers.pop(names.index(names[which % len(names)]))

    def delete(self, name: str) -> str | None:
        known = self.objects.pop(name, None)
        if known is None:
            return None
        self.version += 1
        self.watch.append(("DROP", body(name, self.version, known["metadata"]["uid"])))
        return str(known["metadata"]["uid"])


NAMES = st.sampled_from("abc")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["their-write", "their-delete", "our-write", "our-part", "our-delete"]), NAMES),
        st.tuples(st.sampled_from(["event", "answer", "list", "listed", "lose"]), st.integers(0, 5)),
    ),
    max_size=60,
)


class Run:
    """Plays steps against a store, and checks after each that it never shows less than we wrote ourselves."""

    def __init__(self) -> None:
        self.server = Server()
        self.found = a_collection()
        self.written: dict[str, int] = {}
        """By name, the version of our last write that was answered."""
        self.deleted: set[str] = set()
        """Uids that we deleted, and were told so."""

    def step(self, what: str, which: Any) -> None:
        server = self.server
        match what:
            case "their-write":
                server.write(which)
            case "their-delete":
                server.delete(which)
            case "our-write":
                server.answers.append(("PUT", server.write(which)))
            case "our-part" if which in server.objects:
                server.answers.append(("PART", server.write(which)))
            case "our-delete":
                if uid := server.delete(which):
                    server.answers.append(("BURY", (which, uid)))
            case "event" if server.watch:
                self.tell(*server.watch.pop(0))
            case "answer" if server.answers:
                self.answer(*server.next_answer(which))
            case "list":
                server.lists.append((list(server.objects.values()), server.version))
            case "listed" if server.lists:
                items, version = server.lists.pop(which % len(server.lists))
                list(self.found.replace("ns", items, str(version)))
            case "lose":
                # The watch was down: what happened meanwhile is never told.
                server.watch.clear()
        self.check()

    def tell(self, what: str, item: dict[str, Any]) -> None:
        if what == "PUT":
            self.found.put(item)
        else:
            self.found.drop(item)

    def answer(self, what: str, about: Any) -> None:
        if what == "PUT":
            self.found.put(about, is_own=True)
            name, version = about["metadata"]["name"], int(about["metadata"]["resourceVersion"])
            self.written[name] = max(version, self.written.get(name, 0))
        elif what == "PART":
            # The answer tells the version and what was written; the rest is as it was known, labels among it.
            known = self.found.get("ns", about["metadata"]["name"])
            if known is not None and known["metadata"]["uid"] == about["metadata"]["uid"]:
                version = about["metadata"]["resourceVersion"]
                pieced = {**known, "metadata": {**known["metadata"], "resourceVersion": version}}
                self.found.put(pieced, is_own=True, is_whole=False)
                name = about["metadata"]["name"]
                self.written[name] = max(int(version), self.written.get(name, 0))
        else:
            name, uid = about
            self.found.bury("ns", name, uid)
            self.deleted.add(uid)

    def check(self) -> None:
        for item in self.found.all("ns"):
            meta = item["metadata"]
            assert int(meta["resourceVersion"]) >= self.written.get(meta["name"], 0)
            assert meta["uid"] not in self.deleted

    def settle(self) -> None:
        while self.server.answers:
            self.answer(*self.server.answers.pop(0))
        self.step("list", 0)
        while self.server.lists:
            self.step("listed", -1)
        while self.server.watch:
            self.step("event", 0)


@settings(max_examples=400, deadline=None)
@given(STEPS)
def test_any_interleaving_ends_where_the_api_server_is(steps: list[tuple[str, Any]]) -> None:
    run = Run()
    for what, which in steps:
        run.step(what, which)
    run.settle()
    assert {b["metadata"]["name"]: b for b in run.found.all("ns")} == run.server.objects
    for name in "abc":
        assert [b["metadata"]["name"] for b in run.found.by("first", "ns", name)] == [
            n for n in [name] if n in run.server.objects
        ]


@pytest.mark.parametrize("late", [1, 2, 3])
def test_a_list_that_comes_late_removes_nothing_newer(late: int) -> None:
    found = a_collection()
    found.put(body("a", 5))
    assert list(found.replace("ns", [], str(late))) == []
    assert versions(found) == {"a": "5"}
