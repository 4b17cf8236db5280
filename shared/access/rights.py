"""Who may do what: scopes of tokens, roles of users, and what belongs to main accounts alone."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID


class AccessScope(StrEnum):
    """How far a right reaches: to see, to send with what belongs to it, to change the rest."""

    READ = "read"
    SEND = "send"
    ADMIN = "admin"


class Area(StrEnum):
    """What a route is about. A right is a scope within an area."""

    HOME = "home"
    MESSAGES = "messages"
    TOKENS = "tokens"
    ACCOUNTS = "accounts"
    MONEY = "money"
    PRICES = "prices"
    STATISTICS = "statistics"
    USERS = "users"
    OWN = "own"
    """A user's own session and password."""


class UserRole(StrEnum):
    """What a user is in an account."""

    OWNER = "owner"
    DEVELOPER = "developer"
    BILLING = "billing"
    VIEWER = "viewer"


class Need(NamedTuple):
    """What a request must have the right to."""

    area: Area
    scope: AccessScope


class Caller(NamedTuple):
    """Who makes a request: a token with its scopes, or a user with a role, in a session."""

    account_id: int
    scopes: frozenset[AccessScope] = frozenset()
    role: UserRole | None = None
    user_id: UUID | None = None


class Denial(StrEnum):
    """Why a caller may not do something; the code that it is told."""

    MAIN_ACCOUNT_ONLY = "main_account_only"
    SCOPE_MISSING = "scope_missing"
    ROLE_MISSING = "role_missing"
    SESSION_NEEDED = "session_needed"


_READ: Final = frozenset({AccessScope.READ})
_EVERY: Final = frozenset(AccessScope)

ALL_SCOPES: Final = _EVERY
"""What a token may do unless it is made for less."""

MAIN_ONLY: Final = frozenset({Area.TOKENS, Area.ACCOUNTS, Area.MONEY, Area.STATISTICS})
"""What a sub-account is refused, whoever asks (M8)."""

USERS_ONLY: Final = frozenset({Area.USERS, Area.OWN})
"""What no token opens: who has found a lost one must not be able to stay as a user."""

_READS_ALL: Final = dict.fromkeys(Area, _READ) | {Area.OWN: _EVERY}

RIGHTS: Final[Mapping[UserRole, Mapping[Area, frozenset[AccessScope]]]] = MappingProxyType(
    {
        UserRole.OWNER: dict.fromkeys(Area, _EVERY),
        UserRole.DEVELOPER: _READS_ALL
        | {
            Area.MESSAGES: _EVERY,
            Area.TOKENS: _EVERY,
            Area.STATISTICS: _EVERY,
        },
        UserRole.BILLING: {
            Area.HOME: _READ,
            Area.MONEY: _EVERY,
            Area.PRICES: _EVERY,
            Area.STATISTICS: _EVERY,
            Area.OWN: _EVERY,
        },
        UserRole.VIEWER: _READS_ALL,
    }
)
"""What each role may do; what is not here it may not. `docs/accounts.md` has the same table."""

_GRANTS: Final[Mapping[UserRole, frozenset[AccessScope]]] = {
    UserRole.OWNER: _EVERY,
    UserRole.DEVELOPER: frozenset({AccessScope.READ, AccessScope.SEND}),
}


def denial(caller: Caller, need: Need, *, is_main: bool) -> Denial | None:
    """Why this caller of a main account, or of a sub-account, may not do it; None: it may."""
    if not is_main and need.area in MAIN_ONLY:
        return Denial.MAIN_ACCOUNT_ONLY
    if caller.role is not None:
        may = need.scope in RIGHTS[caller.role].get(need.area, frozenset())
        return None if may else Denial.ROLE_MISSING
    if need.area in USERS_ONLY:
        return Denial.SESSION_NEEDED
    return None if need.scope in caller.scopes else Denial.SCOPE_MISSING


def grants(caller: Caller) -> frozenset[AccessScope]:
    """The scopes that a token may have which this caller makes: never more than its own reach, for
    a token's `admin` reaches all areas that tokens open."""
    if caller.role is None:
        return caller.scopes
    return _GRANTS.get(caller.role, frozenset())
