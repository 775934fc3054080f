"""The operator's options: from the command line, from the environment, and what is said of those that can't be."""

import json
import logging
import socket

import pytest

from kingmaker.__main__ import json_lines, main
from kingmaker.assembly import rules_of
from kingmaker.core.manifests.settings import LINK_LOCAL
from kingmaker.options import UsageError, parse

NEEDED = ("--serving-image=s", "--router-image=r", "--xds-host=h")


def test_what_nobody_said_suits_a_cluster() -> None:
    options = parse(["run", *NEEDED])
    assert options.identity == socket.gethostname()
    assert options.namespaces == ()
    assert options.blocked_egress == LINK_LOCAL
    assert not options.leader_elect


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KINGMAKER_LEASE_SECONDS", "20")
    monkeypatch.setenv("KINGMAKER_NAMESPACES", "a, b")
    assert parse(["run", *NEEDED]).lease_seconds == 20
    assert parse(["run", *NEEDED]).namespaces == ("a", "b")
    assert parse(["run", *NEEDED, "--lease-seconds=30", "--namespaces="]).lease_seconds == 30
    assert parse(["run", *NEEDED, "--namespaces="]).namespaces == ()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["run", "--router-image=r", "--xds-host=h"], "--serving-image (or KINGMAKER_SERVING_IMAGE) is needed"),
        (["run", *NEEDED, "--lease-seconds=2"], "--lease-seconds (or KINGMAKER_LEASE_SECONDS): .* 3; found '2'"),
        (["run", *NEEDED, "--xds-port=70000"], "--xds-port .*; found '70000'"),
        (["run", *NEEDED, "--evaluation-interval=0"], "--evaluation-interval .*; found '0'"),
        (["run", *NEEDED, "--leader-elect=perhaps"], "--leader-elect .*; found 'perhaps'"),
        (["run", *NEEDED, "--image-pull-policy=x"], "--image-pull-policy .*'Never'; found 'x'"),
        (["run", *NEEDED, "--log-level=LOUD"], "--log-level .*; found 'LOUD'"),
        ([], "subcommand is required {run}"),
    ],
)
def test_what_cant_be_used_is_named(arguments: list[str], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint.replace("(", r"\(").replace(")", r"\)").replace("{", r"\{")):
        parse(arguments)


def test_wrong_usage_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--xds-host=h"]) == 2
    assert "--serving-image (or KINGMAKER_SERVING_IMAGE) is needed" in capsys.readouterr().err


def test_settings_are_what_options_say() -> None:
    rules = rules_of(
        parse(["run", *NEEDED, "--drain-seconds=7", "--image-pull-secrets=a,b", "--evaluation-interval=2"])
    )
    assert rules.settings.drain_seconds == 7
    assert rules.settings.image_pull_secrets == ("a", "b")
    assert rules.evaluation.total_seconds() == 2
    assert (rules.contest_evaluation.total_seconds(), rules.ledger_interval.total_seconds()) == (1, 300)


def test_a_log_line_shows_every_field() -> None:
    fields = {"name": "kingmaker.test", "levelname": "WARNING", "msg": "refused by %s", "args": ("router-1",)}
    line = json.loads(json_lines().format(logging.makeLogRecord({**fields, "error": "no such cluster"})))
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "kingmaker.test", "refused by router-1")
    assert line["error"] == "no such cluster"
