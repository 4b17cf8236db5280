-- expand
-- What phones send. A part waits in `inbound_parts` for the others of its message; a message that is whole, or whose
-- time is over, is a row of `inbound`, numbered without gaps within its account as events are.

-- Deliveries that are not to be taken a second time, by what tells them from all others.
CREATE TABLE inbound_seen (
    fingerprint bytea PRIMARY KEY,
    until       timestamptz NOT NULL
);
CREATE INDEX inbound_seen_age ON inbound_seen (until);

-- The parts that have come of one message: arrays of the same length, in the order they came.
CREATE TABLE inbound_parts (
    carrier_id     integer NOT NULL,
    sender         text NOT NULL,
    recipient      text NOT NULL,
    reference      integer NOT NULL,
    reference_bits smallint NOT NULL,
    total          smallint NOT NULL,
    numbers        smallint[] NOT NULL,
    alphabets      text[] NOT NULL,
    udhs           bytea[] NOT NULL,
    payloads       bytea[] NOT NULL,
    received_at    timestamptz[] NOT NULL,
    first_at       timestamptz NOT NULL,
    is_due         boolean NOT NULL, -- perhaps whole
    PRIMARY KEY (carrier_id, sender, recipient, reference, reference_bits, total)
);
CREATE INDEX inbound_parts_due ON inbound_parts (first_at) WHERE is_due;
CREATE INDEX inbound_parts_age ON inbound_parts (first_at);
CREATE TYPE new_inbound_part AS (
    carrier_id     integer,
    sender         text,
    recipient      text,
    reference      integer,
    reference_bits smallint,
    total          smallint,
    number         smallint,
    alphabet       text,
    udh            bytea,
    payload        bytea,
    received_at    timestamptz -- NULL: now
);

CREATE TABLE inbound (
    inbound_id  uuid PRIMARY KEY, -- version 7: ordered by time
    account_id  integer, -- NULL: it matched nobody, and is shown to operators
    sequence    bigint, -- within the account
    line_id     integer,
    carrier_id  integer NOT NULL,
    sender      text NOT NULL,
    recipient   text NOT NULL,
    body        text,
    data        bytea, -- what is no text
    udh         bytea, -- the header of its first part, where it is no text
    encoding    text NOT NULL,
    part_count  smallint NOT NULL, -- of the whole
    missing     smallint[] NOT NULL, -- parts that did not come in time
    answer_to   uuid, -- the account's last message to the phone
    received_at timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CHECK ((account_id IS NULL) = (sequence IS NULL)),
    CHECK ((body IS NULL) <> (data IS NULL))
);
CREATE UNIQUE INDEX inbound_of_account ON inbound (account_id, sequence) WHERE account_id IS NOT NULL;
CREATE INDEX inbound_of_nobody ON inbound (inbound_id) WHERE account_id IS NULL;
CREATE TYPE new_inbound AS (
    inbound_id  uuid,
    carrier_id  integer,
    sender      text,
    recipient   text,
    body        text,
    data        bytea,
    udh         bytea,
    encoding    text,
    part_count  smallint,
    missing     smallint[],
    received_at timestamptz -- NULL: now
);

CREATE TABLE inbound_heads (
    account_id    integer PRIMARY KEY,
    last_sequence bigint NOT NULL
);

REVOKE UPDATE, DELETE ON inbound FROM sluice_services;
REVOKE DELETE ON inbound_heads FROM sluice_services;

-- Whom a phone answers. Nobody can answer a name, so what is sent from one costs nothing here.
CREATE INDEX messages_between ON messages (recipient, sender, account_id, message_id) WHERE sender !~ '[A-Za-z]';
CREATE INDEX lines_by_sender ON lines (sender);

-- A page of inbound messages that are older than the retention goes; how many went. As `forget_old`, which moves the
-- moment, and is called before it.
CREATE FUNCTION forget_old_inbound(page_count integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    moment timestamptz;
    gone   bigint;
BEGIN
    SELECT done_until INTO moment FROM sweeps WHERE name = 'retention' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM inbound WHERE inbound_id = ANY (ARRAY(
        SELECT i.inbound_id FROM inbound i
        WHERE i.inbound_id < least_id(moment) AND i.created_at < moment
        ORDER BY i.inbound_id LIMIT page_count FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
REVOKE EXECUTE ON FUNCTION forget_old_inbound FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_old_inbound TO sluice_services;
