-- expand
-- Phones that an account must not write to, and what phones are answered when they say so.

-- An opt-out stays for good, also when it has ended: who made it, who ended it, and why. One of a phone is in force.
CREATE TABLE opt_outs (
    opt_out_id uuid PRIMARY KEY, -- version 7: ordered by time
    account_id integer NOT NULL,
    recipient  text NOT NULL,
    source     text NOT NULL CHECK (source IN ('phone', 'producer', 'operator')),
    reason     text NOT NULL,
    sender     text, -- the number that the phone wrote to
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    is_new     boolean NOT NULL DEFAULT true, -- what waits for the phone may not have been canceled yet
    ended_at   timestamptz,
    ended_by   text CHECK (ended_by IN ('phone', 'producer', 'operator')),
    end_reason text,
    CHECK ((ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL))
);
-- The one index that begins with the account: a plan that was made while there were none can take no other.
CREATE UNIQUE INDEX opt_outs_in_force ON opt_outs (account_id, recipient) WHERE ended_at IS NULL;
CREATE INDEX opt_outs_new ON opt_outs (created_at) WHERE is_new;

-- A message that a phone is owed. It has the id that the message gets, so that there can be only one.
CREATE TABLE auto_replies (
    message_id  uuid PRIMARY KEY,
    account_id  integer NOT NULL,
    sender      text NOT NULL,
    recipient   text NOT NULL,
    word        text NOT NULL,
    language    text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz -- it was accepted as a message, or cannot be
);
CREATE INDEX auto_replies_of_phone ON auto_replies (account_id, recipient, created_at);
CREATE INDEX auto_replies_due ON auto_replies (created_at) WHERE answered_at IS NULL;
CREATE INDEX auto_replies_age ON auto_replies (created_at);

REVOKE UPDATE, DELETE ON opt_outs FROM sluice_services;
GRANT UPDATE (is_new, ended_at, ended_by, end_reason) ON opt_outs TO sluice_services;
