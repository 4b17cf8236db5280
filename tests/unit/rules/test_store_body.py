"""A11: whose texts are kept. Account, line and send may each say no, and none may say yes again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import pytest

from shared.rules.compose import Draft, Wish, compose
from shared.rules.doors import DoorName
from shared.rules.line_kinds import LineKind, LineMode
from shared.rules.lines import Limits, Line, Lines
from shared.rules.refusals import Code, Refusal
from shared.rules.snapshot import Account, Carrier, Configuration

ACCOUNT = Account(1, "demo", "EUR", 200, 60, 1, 2)
LINE = Line(1, 1, "Sluice", LineKind.ALPHANUMERIC, "FR", True, Limits(None, None, None))
CURRENT = Configuration(
    version=1,
    accounts={1: ACCOUNT},
    lines=Lines.of([LINE]),
    prices={("FR", "EUR"): 40_000},
    special_prices={},
    carriers={1: Carrier(1, "acme", "smpp", 0, {})},
    routes={"*": (1,)},
    country_limits={},
)


@pytest.mark.parametrize(
    ("account", "mode", "send"), list(product((True, False), LineMode, (None, True, False)))
)
def test_a_text_is_kept_only_where_neither_account_nor_line_nor_send_says_no(
    account: bool, mode: LineMode, send: bool | None
) -> None:
    line = LINE._replace(mode=mode)
    door = DoorName.AIRCALL if mode is LineMode.API else DoorName.NATIVE
    current = replace(CURRENT, lines=Lines.of([line]))

    draft = compose(
        current,
        replace(ACCOUNT, store_body=account),
        Wish("+33612345678", "hi", store_body=send, door=door),
        UUID(int=7),
        datetime(2030, 1, 1, tzinfo=UTC),
    )

    assert isinstance(draft, Draft)
    assert draft.store_body is (account and mode == "application" and send in (None, True))


def test_what_must_not_be_kept_is_refused_while_not_everybody_can_open_it() -> None:
    current = replace(CURRENT, seals_texts=False, lines=Lines.of([LINE]))
    moment = datetime(2030, 1, 1, tzinfo=UTC)

    refused = compose(
        current, ACCOUNT, Wish("+33612345678", "hi", store_body=False), UUID(int=7), moment
    )
    kept = compose(current, ACCOUNT, Wish("+33612345678", "hi"), UUID(int=7), moment)

    assert isinstance(refused, Refusal)
    assert refused.code is Code.NOT_YET
    assert isinstance(kept, Draft)
