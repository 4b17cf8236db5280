-- The spine: configuration, money, messages, what waits, limits, receipts, events.
-- Hot tables carry no foreign keys: each would lock the parent row once per message. Configuration rows
-- are never deleted, rows of one message are written by one statement, and `sluice audit` checks the rest.

-- Configuration -----------------------------------------------------------------------------------

CREATE TABLE accounts (
    account_id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                text NOT NULL UNIQUE,
    currency            text NOT NULL CHECK (currency IN ('EUR', 'GBP', 'USD')),
    daily_limit         integer NOT NULL DEFAULT 200 CHECK (daily_limit >= 0),
    requests_per_minute integer NOT NULL DEFAULT 60 CHECK (requests_per_minute > 0),
    created_at          timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE tokens (
    token_id    integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  integer NOT NULL REFERENCES accounts,
    name        text NOT NULL,
    token_hash  bytea NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (account_id, name)
);

CREATE TABLE lines (
    line_id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id  integer NOT NULL REFERENCES accounts,
    sender      text NOT NULL,
    kind        text NOT NULL,
    country     text NOT NULL,
    is_default  boolean NOT NULL DEFAULT false,
    hour_limit  integer NOT NULL CHECK (hour_limit >= 0),
    day_limit   integer NOT NULL CHECK (day_limit >= 0),
    month_limit integer NOT NULL CHECK (month_limit >= 0),
    UNIQUE (account_id, sender)
);
CREATE UNIQUE INDEX lines_one_default ON lines (account_id) WHERE is_default;

CREATE TABLE prices (
    country      text NOT NULL,
    currency     text NOT NULL CHECK (currency IN ('EUR', 'GBP', 'USD')),
    amount_micro bigint NOT NULL CHECK (amount_micro > 0),
    PRIMARY KEY (country, currency)
);

CREATE TABLE carriers (
    carrier_id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name                text NOT NULL UNIQUE,
    adapter             text NOT NULL,
    segments_per_second integer NOT NULL DEFAULT 0 CHECK (segments_per_second >= 0), -- 0: unlimited
    settings            jsonb NOT NULL
);

CREATE TABLE routes (
    country    text NOT NULL, -- ISO 3166 alpha-2, or '*'
    carrier_id integer NOT NULL REFERENCES carriers,
    priority   integer NOT NULL,
    PRIMARY KEY (country, carrier_id)
);

-- Limits on a destination country, beside those of lines: for one account, or for the platform (NULL).
CREATE TABLE country_limits (
    account_id  integer REFERENCES accounts,
    country     text NOT NULL,
    hour_limit  integer CHECK (hour_limit >= 0),
    day_limit   integer CHECK (day_limit >= 0),
    month_limit integer CHECK (month_limit >= 0),
    UNIQUE NULLS NOT DISTINCT (account_id, country)
);

-- Raised by every change of configuration, so that running processes notice.
CREATE TABLE configuration_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL
);
INSERT INTO configuration_version (version) VALUES (1);

-- Money (law 5) -----------------------------------------------------------------------------------

CREATE TABLE wallets (
    wallet_id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id    integer REFERENCES accounts,
    book          text NOT NULL CHECK (book IN ('customer', 'revenue', 'funding')),
    currency      text NOT NULL CHECK (currency IN ('EUR', 'GBP', 'USD')),
    -- Kept for customers only; the platform's books are sums over transfers, so no send locks them.
    balance_micro bigint NOT NULL DEFAULT 0 CHECK (balance_micro >= 0),
    CHECK ((book = 'customer') = (account_id IS NOT NULL)),
    UNIQUE NULLS NOT DISTINCT (account_id, book, currency)
);
INSERT INTO wallets (book, currency)
SELECT book, currency
FROM unnest(ARRAY['revenue', 'funding']) AS book, unnest(ARRAY['EUR', 'GBP', 'USD']) AS currency;

CREATE TABLE transfers (
    transfer_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_wallet_id integer NOT NULL,
    to_wallet_id   integer NOT NULL CHECK (to_wallet_id <> from_wallet_id),
    amount_micro   bigint NOT NULL CHECK (amount_micro > 0),
    kind           text NOT NULL CHECK (kind IN ('debit', 'refund', 'credit')),
    reason         text NOT NULL,
    message_id     uuid,
    part           smallint,
    created_at     timestamptz NOT NULL DEFAULT now(),
    CHECK ((message_id IS NULL) = (part IS NULL)),
    CHECK ((kind = 'credit') = (message_id IS NULL)),
    UNIQUE (message_id, part, kind)
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are immutable', TG_TABLE_NAME;
END $$;
CREATE TRIGGER transfers_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Accepted segments per account and quarter of an hour: the daily limit's returning tokens.
CREATE TABLE daily_usage (
    account_id    integer NOT NULL,
    slot          bigint NOT NULL, -- quarters of an hour since 1970
    segment_count integer NOT NULL,
    PRIMARY KEY (account_id, slot)
);

-- Messages ----------------------------------------------------------------------------------------

CREATE TABLE messages (
    message_id        uuid PRIMARY KEY, -- version 7: ordered by time
    account_id        integer NOT NULL,
    line_id           integer NOT NULL,
    carrier_id        integer NOT NULL,
    wallet_id         integer NOT NULL,
    sender            text NOT NULL,
    recipient         text NOT NULL,
    country           text NOT NULL,
    body              text, -- the only copy of the text; may be erased
    encoding          text NOT NULL,
    segment_count     smallint NOT NULL CHECK (segment_count BETWEEN 1 AND 5),
    class             smallint NOT NULL CHECK (class BETWEEN 0 AND 2), -- urgent, normal, bulk
    at_least_once     boolean NOT NULL,
    segment_price_micro bigint NOT NULL,
    currency          text NOT NULL,
    reference         text,
    status            text NOT NULL,
    reason            text NOT NULL DEFAULT '',
    created_at        timestamptz NOT NULL,
    send_at           timestamptz,
    expires_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
) WITH (fillfactor = 75);
CREATE INDEX messages_of_account ON messages (account_id, message_id);
CREATE INDEX messages_by_reference ON messages (account_id, reference) WHERE reference IS NOT NULL;

CREATE TABLE segments (
    message_id         uuid NOT NULL,
    part               smallint NOT NULL,
    state              text NOT NULL,
    attempt_count      smallint NOT NULL DEFAULT 0,
    carrier_id         integer NOT NULL,
    worker_id          uuid,
    submitted_at       timestamptz, -- the intent's time: the last moment nothing had been sent
    accepted_at        timestamptz, -- when a carrier proved to have taken it
    finished_at        timestamptz,
    carrier_message_id text,
    code               text NOT NULL DEFAULT '', -- the carrier's word
    reason             text NOT NULL DEFAULT '', -- ours, for the producer
    PRIMARY KEY (message_id, part)
) WITH (fillfactor = 75);
CREATE INDEX segments_by_carrier_message ON segments (carrier_id, carrier_message_id)
    WHERE carrier_message_id IS NOT NULL;
CREATE INDEX segments_submitting ON segments (worker_id) WHERE state = 'submitting';
CREATE INDEX segments_open ON segments (submitted_at) WHERE state IN ('submitted', 'in_doubt');

-- Rows on their way in: an array of these is half the work, on both sides, of an array a column.
CREATE TYPE new_message AS (
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
    valid_seconds       integer
);

CREATE TYPE segment_move AS (
    message_id         uuid,
    part               smallint,
    state              text,
    code               text,
    reason             text,
    carrier_message_id text,
    accepted           boolean,
    final              boolean
);

-- What waits to be submitted. Whoever deletes a row owns its send: the compare-and-set of law 3.
CREATE TABLE work (
    message_id    uuid PRIMARY KEY,
    account_id    integer NOT NULL,
    line_id       integer NOT NULL,
    carrier_id    integer NOT NULL,
    country       text NOT NULL,
    class         smallint NOT NULL,
    segment_count smallint NOT NULL, -- still to submit
    -- ready: the relay may publish it from ready_at on; published: since ready_at, in RabbitMQ;
    -- parked: until its line has tokens; scheduled: until ready_at, the producer's send_at.
    state         text NOT NULL CHECK (state IN ('ready', 'published', 'parked', 'scheduled')),
    ready_at      timestamptz NOT NULL,
    bypass_gate   boolean NOT NULL DEFAULT false, -- released from parking: does not join behind the parked
    expires_at    timestamptz NOT NULL
);
CREATE INDEX work_ready ON work (ready_at) WHERE state = 'ready';
CREATE INDEX work_published ON work (carrier_id, class, ready_at) WHERE state = 'published';
CREATE INDEX work_scheduled ON work (ready_at) WHERE state = 'scheduled';
CREATE INDEX work_parked ON work (line_id, class, message_id) WHERE state = 'parked';
CREATE INDEX work_expiry ON work (expires_at);

CREATE TABLE parked_lines (
    line_id  integer PRIMARY KEY,
    ready_at timestamptz NOT NULL
);
CREATE INDEX parked_lines_due ON parked_lines (ready_at);

CREATE TABLE idempotency_keys (
    account_id  integer NOT NULL,
    key         text NOT NULL,
    fingerprint bytea NOT NULL,
    http_status smallint NOT NULL,
    answer      bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Limits (law 6) ----------------------------------------------------------------------------------

CREATE TABLE limiter_epoch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch    bigint NOT NULL
);
INSERT INTO limiter_epoch (epoch) VALUES (1);

-- Committed intents, charged to the minute of their permit; one row per worker, so workers never wait
-- for each other here. Redis is rebuilt from this.
CREATE TABLE limit_usage (
    scope         text NOT NULL,
    minute        bigint NOT NULL, -- since 1970
    worker_id     uuid NOT NULL,
    segment_count integer NOT NULL,
    PRIMARY KEY (scope, minute, worker_id)
);
CREATE INDEX limit_usage_age ON limit_usage (minute);

CREATE TABLE workers (
    worker_id  uuid PRIMARY KEY,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);

-- Receipts and events -----------------------------------------------------------------------------

CREATE TABLE receipts (
    receipt_id         uuid PRIMARY KEY,
    carrier_id         integer NOT NULL,
    carrier_message_id text NOT NULL,
    state              text NOT NULL, -- our word, or 'unreadable'
    code               text NOT NULL,
    raw                bytea NOT NULL,
    received_at        timestamptz NOT NULL,
    message_id         uuid,
    part               smallint,
    retry_at           timestamptz, -- while its segment is not known yet
    try_count          smallint NOT NULL DEFAULT 0
);
CREATE INDEX receipts_unmatched ON receipts (retry_at) WHERE retry_at IS NOT NULL;
CREATE INDEX receipts_of_message ON receipts (message_id) WHERE message_id IS NOT NULL;

CREATE TABLE event_heads (
    account_id    integer PRIMARY KEY,
    last_sequence bigint NOT NULL DEFAULT 0
);

CREATE TYPE new_receipt AS (
    receipt_id         uuid,
    carrier_id         integer,
    carrier_message_id text,
    state              text,
    code               text,
    raw                bytea,
    received_at        timestamptz,
    message_id         uuid,
    part               smallint,
    retry              boolean
);

-- Numbered without gaps under the head's row lock, which is held until commit: a reader who has seen
-- number n can never later find a smaller one.
CREATE TABLE events (
    account_id integer NOT NULL,
    sequence   bigint NOT NULL,
    message_id uuid NOT NULL,
    status     text NOT NULL,
    reason     text NOT NULL,
    reference  text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, sequence)
);

CREATE TYPE new_event AS (
    account_id integer,
    message_id uuid,
    status     text,
    reason     text,
    reference  text
);
