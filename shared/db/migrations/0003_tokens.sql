-- expand
-- Tokens end: by a date of their own or by an operator's word. A token that has ended leaves `tokens`, so
-- that a process of the release before, which knows neither, finds it no more.

ALTER TABLE tokens
    ADD COLUMN expires_at   timestamptz,
    ADD COLUMN last_used_at timestamptz;
CREATE INDEX tokens_by_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE ended_tokens ( -- what is left of a token: who held it, from when to when, never its hash
    token_id     integer PRIMARY KEY,
    account_id   integer NOT NULL REFERENCES accounts,
    name         text NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    ended_at     timestamptz NOT NULL DEFAULT now(),
    reason       text NOT NULL CHECK (reason IN ('revoked', 'expired'))
);
CREATE INDEX ended_tokens_by_account ON ended_tokens (account_id, ended_at);
REVOKE UPDATE, DELETE ON ended_tokens FROM sluice_services;
