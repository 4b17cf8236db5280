"""Every refusal of the core has a name on the native API."""

from __future__ import annotations

from http import HTTPStatus

import msgspec
import pytest

from services.ingest.native import refusals, requests
from shared.rules.refusals import Code, Refusal, Subject
from shared.web import problems


@pytest.mark.parametrize("code", Code)
def test_codes_blame_the_request_but_for_that_of_a_roll_out(code: Code) -> None:
    problem = refusals.problem_of(Refusal(code, "no words"))

    assert problem.code == code.value
    status = HTTPStatus(problem.status)
    assert status == 503 if code is Code.NOT_YET else 400 <= status < 500
    assert problem.detail == "No words."


@pytest.mark.parametrize("subject", Subject)
def test_every_subject_is_a_member_of_the_body(subject: Subject) -> None:
    problem = refusals.problem_of(Refusal(Code.INVALID_TEXT, "No.", subject))

    members = {field.encode_name for field in msgspec.structs.fields(requests.SendBody)}
    assert problem.field in members


def test_a_document_without_a_field_has_no_such_member() -> None:
    document = msgspec.json.decode(problems.encode(problems.of(409, "key_reused", "Used.")))

    assert document == {
        "type": "urn:sluice:problem:key_reused",
        "title": "Key reused",
        "status": 409,
        "detail": "Used.",
        "code": "key_reused",
    }
