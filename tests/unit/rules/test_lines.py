"""Lines in columns are what they were, however they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from time import perf_counter
from tracemalloc import get_traced_memory, start, stop

from hypothesis import given
from hypothesis import strategies as st

from shared.rules.line_kinds import Capability, LineKind, LineMode
from shared.rules.lines import Limits, Line, Lines
from shared.rules.purposes import Purpose
from shared.rules.registrations import Registration, RegistrationKind, RegistrationState

LINE = Line(1, 1, "Sluice", LineKind.ALPHANUMERIC, "FR", False, Limits(1, 2, None), "Sluice")
APPROVED = Registration(
    RegistrationState.APPROVED, RegistrationKind.TEN_DLC, "B1", "C1", date(2026, 1, 1)
)
_TEXTS = st.text("abZé€😀+0123", min_size=1, max_size=5)


@st.composite
def some_lines(draw: st.DrawFn) -> list[Line]:
    """Of several accounts, in any order, each account with at most one that is its default."""
    keys = draw(st.lists(st.tuples(st.integers(1, 4), _TEXTS), unique=True, max_size=12))
    line_ids = draw(
        st.lists(st.integers(1, 10**9), unique=True, min_size=len(keys), max_size=len(keys))
    )
    defaults = {account_id: sender for account_id, sender in keys if draw(st.booleans())}
    return [
        LINE._replace(
            line_id=line_id,
            account_id=account_id,
            sender=sender,
            name=draw(st.one_of(st.just(sender), _TEXTS)),
            is_default=defaults.get(account_id) == sender,
            limits=Limits(draw(st.integers(0, 2)), None, 7),
            capabilities=frozenset(draw(st.sets(st.sampled_from(Capability)))),
            mode=draw(st.sampled_from(LineMode)),
            registration=draw(st.sampled_from([LINE.registration, APPROVED])),
            purpose=draw(st.sampled_from([None, Purpose.AUTOMATED])),
            second_limit=draw(st.sampled_from([None, 3])),
            created_at=draw(st.datetimes(timezones=st.just(UTC))),
        )
        for line_id, (account_id, sender) in zip(line_ids, keys, strict=True)
    ]


@given(some_lines())
def test_every_line_is_found_as_it_was_put(put: Sequence[Line]) -> None:
    lines = Lines.of(put)

    assert dict(lines) == {line.line_id: line for line in put}
    assert [*lines] == sorted(line.line_id for line in put)
    for line in put:
        assert line.line_id in lines
        traits = lines.traits_of(line.line_id)
        assert traits is not None
        assert (traits.limits, traits.second_limit) == (line.limits, line.second_limit)
        assert lines.of_sender(line.account_id, line.sender) == line


@given(some_lines(), st.integers(0, 5), _TEXTS)
def test_of_an_account_is_found_what_it_has_and_nothing_else(
    put: Sequence[Line], account_id: int, sender: str
) -> None:
    lines = Lines.of(put)
    own = sorted(
        (line for line in put if line.account_id == account_id), key=lambda line: line.line_id
    )

    assert [*lines.of_account(account_id)] == own
    assert [*lines.of_account(account_id)[1:3]] == own[1:3]
    paced = lines.of_account(account_id, lambda traits: traits.second_limit is not None)
    assert [*paced] == [line for line in own if line.second_limit is not None]
    assert lines.default_of(account_id) == next((each for each in own if each.is_default), None)
    named = next((each for each in own if each.sender == sender), None)
    assert lines.of_sender(account_id, sender) == named
    assert lines.of_sender(account_id, "\ud800") is None
    assert lines.get(10**9 + 1) is None
    assert lines.traits_of(10**9 + 1) is None
    assert 10**9 + 1 not in lines


@given(some_lines(), some_lines())
def test_those_are_changed_that_have_other_limits_or_are_new(
    before: Sequence[Line], after: Sequence[Line]
) -> None:
    # Given that some lines of before are there afterwards
    after = [*after, *(line for line in before[::2] if line.line_id not in {*Lines.of(after)})]
    senders = {(line.account_id, line.sender): line for line in after}
    after = [*senders.values()]
    old = {line.line_id: (line.limits, line.second_limit) for line in before}

    changed = {*Lines.of(after).limits_changed(Lines.of(before))}

    assert changed == {
        line.line_id for line in after if old.get(line.line_id) != (line.limits, line.second_limit)
    }


def test_a_line_takes_less_than_a_hundred_bytes() -> None:
    count = 20_000
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    put = (
        LINE._replace(
            line_id=number,
            account_id=number // 100,
            sender=f"+1202{number:07}",
            name=f"+1202{number:07}",
            created_at=moment + timedelta(seconds=number),
        )
        for number in range(1, count)
    )
    # Given many lines of many accounts, When they are kept, and each is looked up
    start()
    try:
        lines = Lines.of(put)
        for line_id in lines:
            assert lines[line_id].line_id == line_id
        kept, _ = get_traced_memory()
    finally:
        stop()

    # Then they take a fraction of what as many objects would
    assert kept < count * 100 + 4_096 * 1_500


def test_a_line_that_is_not_there_is_missed_as_soon_as_another_is_found() -> None:
    # Given lines whose numbers follow one another
    count = 20_000
    lines = Lines.of(
        LINE._replace(line_id=number, sender=f"+1202{number:07}") for number in range(1, count)
    )
    # When numbers are looked up that nobody has, as of lines that are gone
    began = perf_counter()
    found = [number for number in range(count, 6 * count) if number in lines]
    seconds = perf_counter() - began

    # Then none is searched for among thousands of neighbors
    assert found == []
    assert seconds < 2
