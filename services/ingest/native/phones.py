"""Phones' numbers as they stand in paths, queries and lists."""

from __future__ import annotations

from shared.sms import e164
from shared.web import problems
from shared.web.problems import Problem, Refused


def number(text: str) -> str:
    """A number in E.164. Raises Refused for what is none."""
    if fault := fault_of(text):
        raise Refused(fault)
    return text


def cursor(text: str) -> str:
    """A number that a page has given as its cursor. Raises Refused for what is none."""
    if fault_of(text):
        detail = "Not a cursor that a page has given; in a query, its '+' is written %2B."
        raise Refused(problems.of(422, "invalid_cursor", detail, "cursor"))
    return text


def fault_of(text: str) -> Problem | None:
    """Why this is no number; the problem does not hold it."""
    try:
        e164.parse(text)
    except e164.InvalidNumber as error:
        detail = problems.sentence(str(error))
        return problems.of(422, "invalid_recipient", detail, "number")
    return None
