"""Questions are asked beside the passes: a look gives what is known, and waits for nobody."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kingmaker.core.observed import Answer, Question
from kingmaker.ports import Key
from kingmaker.questions import Questions

KEY = Key("ModelDeployment", "ns", "churn")
ONE, OTHER = Question("", "one"), Question("", "other")


@dataclass
class Site:
    """A clock, and a Prometheus that answers when told to."""

    time: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def now(self) -> datetime:
        return self.time

    async def ask(self, question: Question) -> Answer:
        self.asked.append(question.query)
        await self.gate.wait()
        return Answer(float(len(self.asked)))


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_look_gives_what_is_known_and_asks_in_the_background() -> None:
    site = Site()
    questions = Questions(site, site, timedelta(seconds=30))
    assert questions.look(KEY, [ONE]) == {ONE: ()}
    site.time += timedelta(seconds=60)
    await settle()
    assert questions.look(KEY, [ONE]) == {ONE: ()}, "the first answer is still waited for, so nobody asks again"
    assert site.asked == ["one"]
    site.gate.set()
    await settle()
    assert questions.look(KEY, [ONE]) == {ONE: (Answer(1.0),)}
    await settle()
    assert questions.look(KEY, [ONE, OTHER])[ONE] == (Answer(1.0), Answer(2.0))
    await settle()
    assert sorted(site.asked) == ["one", "one", "other"], "asked anew after the interval only"


async def test_what_is_not_wanted_any_more_is_forgotten() -> None:
    site = Site()
    questions = Questions(site, site, timedelta(seconds=30))
    questions.look(KEY, [ONE])
    await settle()
    questions.forget(KEY)
    site.gate.set()
    await settle()
    assert questions.look(KEY, [ONE]) == {ONE: ()}
    assert Questions(None, site, timedelta(seconds=1)).look(KEY, [ONE]) == {}
