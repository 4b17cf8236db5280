"""Tokens as their owners ask for them and read them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.access.rights import AccessScope
from shared.access.tokens import GOOD_DAYS_MAX, NAME_LENGTH_MAX
from shared.db import tokens
from shared.shapes.message import Time


class TokenBody(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A token to make. Its scopes are some of those that whoever makes it has; by default all."""

    name: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=NAME_LENGTH_MAX,
            description="What to know it by; no two good tokens of an account have one name.",
        ),
    ]
    scopes: Annotated[list[AccessScope], Meta(min_length=1)] | UnsetType = UNSET
    expires_in_days: Annotated[int, Meta(ge=1, le=GOOD_DAYS_MAX)] | UnsetType = UNSET


class TokenView(msgspec.Struct, frozen=True, kw_only=True):
    """A token, without its value. `last_used_at` may be a minute late."""

    id: int
    name: str
    scopes: list[AccessScope]
    created_at: Time
    expires_at: Time | None
    last_used_at: Time | None


class TokenWithValue(TokenView, frozen=True, kw_only=True):
    """The same with its value: it is not shown again."""

    token: str

    def __repr__(self) -> str:
        return f"TokenWithValue({self.id})"


class TokenList(msgspec.Struct, frozen=True):
    """The good tokens of an account, the oldest first, and how many there may be."""

    tokens: list[TokenView]
    count_max: int = msgspec.field(name="max")


def shown(stored: tokens.Token) -> TokenView:
    """A token as its owner reads it."""
    return TokenView(
        id=stored.token_id,
        name=stored.name,
        scopes=list(stored.scopes),
        created_at=stored.created_at,
        expires_at=stored.expires_at,
        last_used_at=stored.last_used_at,
    )


def shown_once(stored: tokens.Token, value: str) -> TokenWithValue:
    """The same with its value."""
    return TokenWithValue(**msgspec.structs.asdict(shown(stored)), token=value)


token_decoder = msgspec.json.Decoder(TokenBody)
