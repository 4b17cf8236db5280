-- expand
-- People: users of an account with a password and a role, their sessions; and sub-accounts, which send at the cost of
-- their main account and never see its money.

CREATE TABLE users (
    user_id           uuid PRIMARY KEY, -- version 7
    account_id        integer NOT NULL REFERENCES accounts,
    email             text NOT NULL CHECK (email = lower(email)),
    role              text NOT NULL CHECK (role IN ('owner', 'developer', 'billing', 'viewer')),
    password_hash     text NOT NULL, -- argon2id, with its salt and cost
    created_at        timestamptz NOT NULL DEFAULT now(),
    last_signed_in_at timestamptz,
    UNIQUE (account_id, email)
);

CREATE TABLE sessions (
    token_hash bytea PRIMARY KEY, -- keyed, like that of a token
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX sessions_of_user ON sessions (user_id, created_at);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- How often somebody has tried to sign in as a user, or from an address, within a window; the subject is a keyed hash.
CREATE TABLE sign_in_attempts (
    subject       bytea PRIMARY KEY,
    attempt_count integer NOT NULL,
    ends_at       timestamptz NOT NULL
);
CREATE INDEX sign_in_attempts_by_end ON sign_in_attempts (ends_at);

-- A sub-account has no wallet: its payer has, and its currency is that one's, whoever switches it.
ALTER TABLE accounts
    ADD COLUMN parent_account_id integer REFERENCES accounts CHECK (parent_account_id <> account_id),
    ADD COLUMN payer_account_id integer NOT NULL
        GENERATED ALWAYS AS (coalesce(parent_account_id, account_id)) STORED,
    ADD UNIQUE (account_id, currency);
ALTER TABLE accounts
    ADD FOREIGN KEY (parent_account_id, currency) REFERENCES accounts (account_id, currency) ON UPDATE CASCADE;
CREATE INDEX accounts_of_parent ON accounts (parent_account_id) WHERE parent_account_id IS NOT NULL;
