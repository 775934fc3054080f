"""A Model becomes Ready, or says why not."""

import json
import zlib
from base64 import b64encode
from dataclasses import replace

import pytest

from kingmaker.api import Model, Role, RoleStatus
from kingmaker.core.observed import ObservedJob
from kingmaker.core.plan import Create
from kingmaker.core.serving.verification import ObservedModel, decide_model
from kingmaker_serving.digest import sha256
from kingmaker_serving.protocol.signature import NUMPY
from kingmaker_serving.verify import fit
from support.world import SETTINGS, START, a_model, digest

TENSOR = {"datatype": "FP32", "shape": [-1, 2]}
REPORT = {
    "digest": digest("a"),
    "sizeBytes": 10,
    "opset": 18,
    "producer": "skl2onnx",
    "inputs": [{"name": "features", **TENSOR}],
    "outputs": [{"name": "label", **TENSOR}],
    "examples": 5,
    "baseline": {"digest": digest("b"), "rows": 100, "features": 2},
}


def failed(message: str) -> ObservedJob:
    return ObservedJob("j", "u", failed=True, message=message)


BOMB = json.dumps({"deflated": b64encode(zlib.compress(b"[" + b" " * 2**21 + b"]")).decode()})
DONE = ObservedJob("job", "uid", succeeded=True, message=json.dumps(REPORT))


def observe(model: Model, job: ObservedJob | None = None, **extra) -> ObservedModel:
    return ObservedModel(START, model, job, **extra)


def after(model: Model, job: ObservedJob | None) -> Model:
    plan = decide_model(observe(model, job), SETTINGS)
    assert plan.status is not None
    return Model.parse(model.manifest() | {"status": dict(plan.status)})


def condition(model: Model, kind: str) -> tuple[str, str]:
    return next(((str(c.status), c.reason) for c in model.status.conditions if c.type == kind), ("absent", ""))


def test_a_new_model_gets_a_job_and_is_reconciling() -> None:
    model = a_model("a", "a", ready=False)
    plan = decide_model(observe(model), SETTINGS)
    assert [type(a) for a in plan.actions] == [Create]
    seen = after(model, None)
    assert condition(seen, "Ready") == ("False", "Verifying")
    assert condition(seen, "Reconciling")[0] == "True"


def test_a_job_that_was_removed_after_its_verdict_is_not_made_again() -> None:
    for model in (after(a_model("a", "a", ready=False), DONE), after(a_model("a", "a", ready=False), failed("boom"))):
        assert decide_model(observe(model, None), SETTINGS).actions == ()


def test_a_running_job_is_waited_for() -> None:
    model = after(a_model("a", "a", ready=False), None)
    plan = decide_model(observe(model, ObservedJob("job", "uid")), SETTINGS)
    assert (plan.actions, plan.status) == ((), None)


def test_a_good_report_makes_it_ready_for_ever() -> None:
    model = after(a_model("a", "a", ready=False), DONE)
    assert condition(model, "Ready") == ("True", "Verified")
    assert condition(model, "Reconciling") == ("absent", "")
    assert model.status.artifact is not None
    assert model.status.artifact.opset == 18
    assert model.status.baseline is not None
    again = decide_model(observe(model), SETTINGS)
    assert (again.actions, again.status) == ((), None)


KINDS = ("transactions_abroad", "logins_from_new_devices")


def wide(columns: int) -> dict:
    """The report on a table of many columns, each of which is an input."""
    names = [
        f"{what}_{('mean', 'max', 'count', 'last')[n % 4]}_{n // 4}d" for n in range(columns // 2) for what in KINDS
    ]
    return REPORT | {"inputs": [{"name": name, **TENSOR} for name in names]}


def random(columns: int) -> dict:
    """The same with names that nothing makes shorter."""
    return REPORT | {"inputs": [{"name": sha256(str(n).encode())[7:], **TENSOR} for n in range(columns)]}


def test_a_report_on_hundreds_of_inputs_comes_whole() -> None:
    message = json.dumps(fit(wide(300)), separators=(",", ":"))
    assert len(message) <= 4096 < len(json.dumps(wide(300)))
    model = after(a_model("a", "a", ready=False), replace(DONE, message=message))
    assert model.status.signature is not None
    assert [t.name for t in model.status.signature.inputs] == [t["name"] for t in wide(300)["inputs"]]


def test_a_report_that_is_too_long_even_so_lacks_the_signature_alone() -> None:
    message = json.dumps(fit(random(300)), separators=(",", ":"))
    assert len(message) <= 4096
    model = after(a_model("a", "a", ready=False), replace(DONE, message=message))
    assert condition(model, "Ready") == ("True", "Verified")
    assert model.status.signature is None
    assert model.status.baseline is not None


def test_a_report_of_every_kind_of_tensor_is_read() -> None:
    tensors = [{"name": n, "datatype": n, "shape": [0, -1, 3]} for n in NUMPY]
    report = REPORT | {"inputs": [], "outputs": [*tensors, {"name": "any", "datatype": "FP32", "shape": []}]}
    model = after(a_model("a", "a", ready=False), replace(DONE, message=json.dumps(report)))
    assert model.status.signature is not None
    assert len(model.status.signature.outputs) == len(NUMPY) + 1


@pytest.mark.parametrize(
    ("job", "reason", "words"),
    [
        (
            ObservedJob("j", "u", failed=True, message='{"reason": "DigestMismatch", "message": "no"}'),
            "DigestMismatch",
            "no",
        ),
        (ObservedJob("j", "u", failed=True, message='{"reason": "Odd", "message": "?"}'), "VerificationFailed", "?"),
        (ObservedJob("j", "u", failed=True, reason="DeadlineExceeded: slow"), "VerificationFailed", "slow"),
        (ObservedJob("j", "u", failed=True), "VerificationFailed", "see its logs"),
        (replace(DONE, message="garbage"), "VerificationFailed", "garbage"),
        (replace(DONE, message="[1]"), "VerificationFailed", "[1]"),
        (replace(DONE, message=json.dumps(REPORT | {"inputs": 1})), "Internal", "can't be read"),
        (replace(DONE, message='{"deflated": "AAAA"}'), "VerificationFailed", "AAAA"),
        (replace(DONE, message=BOMB), "VerificationFailed", "AAAA"),
    ],
    ids=["told", "unknown word", "deadline", "silence", "garbage", "a list", "unreadable", "not deflated", "a bomb"],
)
def test_a_bad_end_is_a_reason_that_stands(job, reason, words) -> None:
    model = after(a_model("a", "a", ready=False), job)
    assert condition(model, "Ready") == ("False", reason)
    assert condition(model, "Stalled") == ("True", reason)
    assert words in next(c.message for c in model.status.conditions if c.type == "Stalled")
    again = decide_model(observe(model), SETTINGS)
    assert (again.actions, again.status) == ((), None)


def test_verdicts_are_events() -> None:
    model = after(a_model("a", "a", ready=False), None)
    good = decide_model(observe(model, DONE), SETTINGS)
    assert [(e.type, e.reason) for e in good.events] == [("Normal", "Verified")]
    bad = decide_model(observe(model, ObservedJob("j", "u", failed=True)), SETTINGS)
    assert [(e.type, e.reason) for e in bad.events] == [("Warning", "VerificationFailed")]


def test_roles_are_kept_up_to_date() -> None:
    model = after(a_model("a", "a", ready=False), DONE)
    role = RoleStatus(model_deployment="churn", role=Role.CHAMPION)
    plan = decide_model(observe(model, roles=(role,)), SETTINGS)
    assert plan.status is not None
    assert plan.status["roles"] == [{"modelDeployment": "churn", "role": "Champion"}]
    assert plan.events == ()
