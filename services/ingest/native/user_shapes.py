"""Users and sessions as people ask for them and read them. A password goes in and never out."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from shared.access import passwords
from shared.access.rights import UserRole
from shared.db import users
from shared.shapes.message import Time

Email = Annotated[
    str,
    Meta(
        max_length=254,
        pattern=r"^[!-?A-~]{1,64}@[A-Za-z0-9.-]+[.][A-Za-z0-9-]+$",
        description="The user's address. Capital letters make no difference.",
    ),
]
Password = Annotated[
    str,
    Meta(
        max_length=passwords.LENGTH_MAX,
        description=f"{passwords.LENGTH_MIN} characters or more; stored as an argon2id hash only.",
    ),
]


class UserBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A user to make. The password is a first one: its owner may change it."""

    email: Email
    role: UserRole
    password: Password

    def __repr__(self) -> str:
        return "UserBody(...)"


class UserChange(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """What is to be different about a user. A new password ends all sessions of that user."""

    role: UserRole | UnsetType = UNSET
    password: Password | UnsetType = UNSET

    def __repr__(self) -> str:
        return "UserChange(...)"


class PasswordChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another password for oneself. It ends one's other sessions."""

    current_password: Password
    password: Password

    def __repr__(self) -> str:
        return "PasswordChange(...)"


class SignIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who begins a session: an account's name, and a user of it."""

    account: Annotated[str, Meta(min_length=1, max_length=200)]
    email: Email
    password: Password

    def __repr__(self) -> str:
        return "SignIn(...)"


class UserView(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the account."""

    id: UUID
    email: str
    role: UserRole
    created_at: Time
    last_signed_in_at: Time | None


class UserList(msgspec.Struct, frozen=True):
    """All users of the account, the oldest first."""

    users: list[UserView]


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """A session: its token is sent like any other, until it expires or is ended."""

    token: str
    expires_at: Time
    user: UserView

    def __repr__(self) -> str:
        return "SignedIn(...)"


def shown(stored: users.StoredUser) -> UserView:
    """A user as the others of the account read them."""
    return UserView(
        id=stored.user_id,
        email=stored.email,
        role=stored.role,
        created_at=stored.created_at,
        last_signed_in_at=stored.last_signed_in_at,
    )


user_decoder = msgspec.json.Decoder(UserBody)
change_decoder = msgspec.json.Decoder(UserChange)
password_decoder = msgspec.json.Decoder(PasswordChange)
sign_in_decoder = msgspec.json.Decoder(SignIn)
