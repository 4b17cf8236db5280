-- expand
-- Why a message was allowed, and who has agreed to be written to.

ALTER TABLE messages ADD COLUMN verdict integer; -- see shared/rules/verdict_codes.py; NULL: of before
ALTER TABLE platform ADD COLUMN conversation_days integer NOT NULL DEFAULT 30 CHECK (conversation_days > 0);

-- `new_message`, with its verdict.
CREATE TYPE judged_message AS (
    message_id          uuid,
    account_id          integer,
    line_id             integer,
    carrier_id          integer,
    wallet_id           integer,
    revenue_wallet_id   integer,
    sender              text,
    recipient           text,
    country             text,
    body                text,
    encoding            text,
    segment_count       smallint,
    class               smallint,
    at_least_once       boolean,
    segment_price_micro bigint,
    currency            text,
    reference           text,
    send_at             timestamptz,
    valid_seconds       integer,
    verdict             integer
);

-- Whether a phone has written to a line, and when last.
CREATE INDEX inbound_to_line ON inbound (line_id, sender, received_at) WHERE line_id IS NOT NULL;

-- A consent stays for good, also when it has ended, as the proof that it was given: when, where and to which words. One
-- of a phone is in force.
CREATE TABLE consents (
    consent_id uuid PRIMARY KEY, -- version 7: ordered by time
    account_id integer NOT NULL,
    recipient  text NOT NULL,
    purpose    text NOT NULL CHECK (purpose IN ('conversation', 'automated', 'marketing')), -- the most that was agreed to
    given_at   timestamptz NOT NULL,
    place      text NOT NULL CHECK (place <> ''), -- a form, a page, a call
    wording    text NOT NULL CHECK (wording <> ''), -- what was agreed to
    source     text NOT NULL CHECK (source IN ('producer', 'operator')), -- who recorded it
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at   timestamptz,
    ended_by   text CHECK (ended_by IN ('producer', 'operator')),
    end_reason text,
    CHECK ((ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL))
);
CREATE UNIQUE INDEX consents_in_force ON consents (account_id, recipient) WHERE ended_at IS NULL;
-- Of what has ended alone, lest it be asked for what is in force.
CREATE INDEX consents_ended ON consents (account_id, recipient, consent_id) WHERE ended_at IS NOT NULL;

REVOKE UPDATE, DELETE ON consents FROM sluice_services;
GRANT UPDATE (ended_at, ended_by, end_reason) ON consents TO sluice_services;
