from datetime import timedelta

from kingmaker_laptop.node.backoff import FORGOTTEN_AFTER, Backoff
from support.pods import NOW

BASE = timedelta(seconds=10)


def test_the_first_restart_is_immediate_then_pauses_double_up_to_five_minutes() -> None:
    record, now, pauses = Backoff(), NOW, []
    for _ in range(8):
        restart = record.restart_at(now)
        pauses.append((restart - now).total_seconds())
        record, now = record.after_restart(now, restart, base=BASE), restart
    assert pauses == [0, 10, 20, 40, 80, 160, 300, 300]


def test_a_long_run_is_forgiven() -> None:
    record = Backoff(timedelta(minutes=5), NOW)
    ended = NOW + FORGOTTEN_AFTER + timedelta(seconds=1)
    assert record.restart_at(ended) == ended
    assert record.after_restart(ended, ended, base=BASE) == Backoff(BASE, ended)
