"""Who may do what: roles and scopes by the page for operators, and what nobody hands on."""

from __future__ import annotations

from shared.access import rights
from shared.access.rights import AccessScope, Area, Caller, Denial, Need, UserRole

ADMIN_TOKEN = Caller(1, frozenset({AccessScope.ADMIN}))


def test_m08_a_sub_account_is_refused_whoever_asks() -> None:
    callers = [Caller(1, frozenset(AccessScope)), *(Caller(1, role=role) for role in UserRole)]
    for area in (Area.TOKENS, Area.MONEY, Area.STATISTICS, Area.ACCOUNTS):
        for scope in AccessScope:
            for caller in callers:
                told = rights.denial(caller, Need(area, scope), is_main=False)
                assert told is Denial.MAIN_ACCOUNT_ONLY


def test_no_token_opens_what_is_of_users() -> None:
    every = Caller(1, frozenset(AccessScope))
    for area in (Area.USERS, Area.OWN):
        told = rights.denial(every, Need(area, AccessScope.READ), is_main=True)
        assert told is Denial.SESSION_NEEDED


def test_scopes_hold_each_other_in_no_way() -> None:
    need = Need(Area.MESSAGES, AccessScope.SEND)
    assert rights.denial(ADMIN_TOKEN, need, is_main=True) is Denial.SCOPE_MISSING
    assert rights.denial(Caller(1, frozenset({AccessScope.SEND})), need, is_main=True) is None


def test_each_role_may_something_and_only_an_owner_everything() -> None:
    may = {
        role: {
            (area, scope)
            for area in Area
            for scope in AccessScope
            if rights.denial(Caller(1, role=role), Need(area, scope), is_main=True) is None
        }
        for role in UserRole
    }
    everything = {(area, scope) for area in Area for scope in AccessScope}
    assert may[UserRole.OWNER] == everything
    for role in (UserRole.DEVELOPER, UserRole.BILLING, UserRole.VIEWER):
        assert may[role]
        assert may[role] < everything
        assert (Area.OWN, AccessScope.ADMIN) in may[role]
        assert (Area.USERS, AccessScope.ADMIN) not in may[role]
    assert (Area.MESSAGES, AccessScope.READ) not in may[UserRole.BILLING]
    assert (Area.MONEY, AccessScope.ADMIN) not in may[UserRole.DEVELOPER]


def test_nobody_makes_a_token_that_may_more_than_its_maker() -> None:
    # Given that a token's `admin` reaches money, too
    assert rights.grants(Caller(1, role=UserRole.OWNER)) == frozenset(AccessScope)
    assert rights.grants(Caller(1, role=UserRole.DEVELOPER)) == {
        AccessScope.READ,
        AccessScope.SEND,
    }
    assert rights.grants(Caller(1, role=UserRole.BILLING)) == frozenset()
    assert rights.grants(ADMIN_TOKEN) == {AccessScope.ADMIN}
