"""A refusal of the core as a problem, which each face then puts in its own form."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from shared.rules.refusals import Refusal
from shared.web import problems
from shared.web.problems import Problem

Value = TypeVar("Value")


def problem(refusal: Refusal, status: int, field: str | None = None) -> Problem:
    """The refusal under this status; `field` is the face's name for what is at fault."""
    plain = problems.of(status, refusal.code.value, problems.sentence(refusal.detail), field)
    if refusal.rule is None and refusal.possible_at is None:
        return plain
    return msgspec.structs.replace(
        plain,
        rule=_given(refusal.rule),
        rules_version=_given(refusal.rules_version),
        possible_at=_given(refusal.possible_at),
    )


def _given(value: Value | None) -> Value | UnsetType:
    return UNSET if value is None else value
