"""Accounts as those read them who send with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from services.ingest.native.answers import Money
from shared.access.rights import AccessScope, UserRole
from shared.db import sub_accounts
from shared.shapes.message import Time


class SubAccountBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sub-account to make. Its whole name is that of its main account, a slash, and this."""

    name: Annotated[
        str,
        Meta(
            pattern=sub_accounts.NAME_PATTERN,
            description="Small letters, digits, '.', '_' and '-'; 40 at most.",
            examples=["shop-berlin"],
        ),
    ]


class SubAccountView(msgspec.Struct, frozen=True, kw_only=True):
    """An account that sends at the cost of its main account, with so many good tokens."""

    id: int
    name: str
    created_at: Time
    token_count: int = msgspec.field(name="tokens")


class SubAccountList(msgspec.Struct, frozen=True):
    """All sub-accounts of an account, the oldest first."""

    accounts: list[SubAccountView]


class WhoAsks(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asks: a token with its scopes, or a user in a role."""

    scopes: list[AccessScope] | UnsetType = UNSET
    role: UserRole | UnsetType = UNSET


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go from here (M12)."""

    tokens: str = "/v1/tokens"
    balance: str = "/v1/balance"
    deposits: str = "/v1/deposits"
    statistics: str = "/v1/statistics"


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many good tokens there are, and how many there may be."""

    count: int
    count_max: int = msgspec.field(name="max")


class Home(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The account of whoever asks. What is of money, of tokens and of statistics answers to main
    accounts only: a sub-account's home leads to none of it."""

    name: str
    kind: Literal["main", "sub"]
    you: WhoAsks
    currency: str | UnsetType = UNSET
    balance: Money | UnsetType = UNSET
    tokens: TokenCounts | UnsetType = UNSET
    daily_limit: int | UnsetType = UNSET
    links: Links | UnsetType = UNSET


def shown(stored: sub_accounts.SubAccount) -> SubAccountView:
    """A sub-account as its main account reads it."""
    return SubAccountView(
        id=stored.account_id,
        name=stored.name,
        created_at=stored.created_at,
        token_count=stored.token_count,
    )


def shown_all(stored: Sequence[sub_accounts.SubAccount]) -> SubAccountList:
    """All of them."""
    return SubAccountList([*map(shown, stored)])


sub_account_decoder = msgspec.json.Decoder(SubAccountBody)
