-- expand
-- Fewer rows and index entries a message. What is only ever read in order, or by its message, is written a page a
-- transaction: one row and one index entry for all of it.

-- Whether processes may live that look for every event in a row of its own, and for a row of `segments` from the moment
-- a message is accepted: 0014 says when not.
ALTER TABLE platform ADD COLUMN old_readers boolean NOT NULL DEFAULT true;

-- The events of one account in one statement. Arrays of the same length; the last one's number is `last_sequence`.
-- An account's rows of `events`, which are written while `old_readers` is true, come before its pages.
CREATE TABLE event_pages (
    account_id    integer NOT NULL,
    last_sequence bigint NOT NULL,
    message_ids   uuid[] NOT NULL,
    statuses      text[] NOT NULL,
    reasons       text[] NOT NULL,
    refs          text[] NOT NULL, -- the producer's references; NULL where it gave none
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, last_sequence)
);

-- Raw receipts whose segment was known when they came, of one carrier and one transaction, for messages that were made
-- in one stretch of 2^16 ms (the first 32 bits of their ids): so a message's receipts are found by a short range of one
-- index. Arrays of the same length. Those whose segment was not known are rows of `receipts`.
CREATE TABLE receipt_pages (
    last_message_id  uuid NOT NULL,
    first_message_id uuid NOT NULL,
    carrier_id       integer NOT NULL,
    message_ids      uuid[] NOT NULL,
    parts            smallint[] NOT NULL,
    states           text[] NOT NULL, -- our word
    received_at      timestamptz[] NOT NULL,
    raws             bytea[] NOT NULL
);
CREATE INDEX receipt_pages_by_message ON receipt_pages (last_message_id);
CREATE TYPE new_receipt_page AS (
    last_message_id  uuid,
    first_message_id uuid,
    carrier_id       integer,
    message_ids      uuid[],
    parts            smallint[],
    states           text[],
    received_at      timestamptz[],
    raws             bytea[]
);

REVOKE UPDATE, DELETE ON event_pages, receipt_pages FROM sluice_services;

-- In its own place while it can be: a page in pieces elsewhere is a fifth more.
ALTER TABLE event_pages ALTER message_ids SET STORAGE MAIN, ALTER statuses SET STORAGE MAIN,
    ALTER reasons SET STORAGE MAIN, ALTER refs SET STORAGE MAIN;
ALTER TABLE receipt_pages ALTER message_ids SET STORAGE MAIN, ALTER parts SET STORAGE MAIN,
    ALTER states SET STORAGE MAIN, ALTER received_at SET STORAGE MAIN, ALTER raws SET STORAGE MAIN;
-- What carriers write is alike, and so are the words of events. A server built without lz4 keeps its older method.
DO $$
BEGIN
    ALTER TABLE event_pages ALTER message_ids SET COMPRESSION lz4,
        ALTER statuses SET COMPRESSION lz4, ALTER reasons SET COMPRESSION lz4, ALTER refs SET COMPRESSION lz4;
    ALTER TABLE receipt_pages ALTER message_ids SET COMPRESSION lz4, ALTER parts SET COMPRESSION lz4,
        ALTER states SET COMPRESSION lz4, ALTER received_at SET COMPRESSION lz4, ALTER raws SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END $$;

-- Every part of a message and where it stands. A part has a row of `segments` from the first word of it on: the end of
-- its first submit, parking, or an end without a submit. Until then it stands where its message does.
CREATE VIEW parts AS
SELECT m.message_id, p.part::smallint AS part, s.part IS NOT NULL AS is_written,
       CASE WHEN u.part IS NOT NULL THEN 'submitting'
            WHEN s.part IS NOT NULL THEN s.state
            WHEN m.status = 'scheduled' THEN 'scheduled' ELSE 'queued' END AS state,
       coalesce(s.code, '') AS code, coalesce(s.reason, '') AS reason,
       coalesce(u.submitted_at, s.submitted_at) AS submitted_at, s.accepted_at, s.finished_at
FROM messages m
CROSS JOIN LATERAL generate_series(1, m.segment_count) AS p (part)
LEFT JOIN segments s ON s.message_id = m.message_id AND s.part = p.part
LEFT JOIN submits u ON u.message_id = m.message_id AND u.part = p.part;
REVOKE INSERT, UPDATE, DELETE ON parts FROM sluice_services;

-- For the sweep of what is in doubt, and for nobody else: who looks for a phone says only that there is one, and so
-- never goes through the time of all doubts instead.
DROP INDEX segments_doubted;
CREATE INDEX segments_doubted ON segments (submitted_at) WHERE recipient > '';

-- Every event, whether it has a row of its own or stands in a page.
CREATE VIEW all_events AS
SELECT account_id, sequence, message_id, status, reason, reference, created_at FROM events
UNION ALL
SELECT p.account_id, p.last_sequence - cardinality(p.message_ids) + e.place, e.message_id, e.status, e.reason,
       e.reference, p.created_at
FROM event_pages p
CROSS JOIN LATERAL unnest(p.message_ids, p.statuses, p.reasons, p.refs) WITH ORDINALITY
    AS e (message_id, status, reason, reference, place);
REVOKE INSERT, UPDATE, DELETE ON all_events FROM sluice_services;

-- Nothing is asked by the number of a transfer.
ALTER TABLE transfers DROP CONSTRAINT transfers_pkey;

-- As in 0012, and pages: receipts go with the messages they are about; an account's pages of events once all its rows
-- of `events` are gone, from the first on. `begin_id` is where the last call of the same round has ended, for what it
-- has deleted lies before it until the next vacuum; the least id of all to begin a round. Each look at `work` and
-- `submits` is one look at an index, whatever is known of these tables: they may have been empty when that was learned.
CREATE FUNCTION forget_old(page_count integer, begin_id uuid, OUT row_count bigint, OUT end_id uuid)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    moment timestamptz;
    old    uuid[];
    gone   bigint;
    total  bigint;
BEGIN
    end_id := begin_id;
    row_count := 0;
    PERFORM FROM sweeps WHERE name = 'retention' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE sweeps s SET done_until = greatest(s.done_until, now() - greatest(
        make_interval(days => p.retention_days), interval '39 days' + 2 * receipt_deadline()))
    FROM platform p WHERE s.name = 'retention' RETURNING s.done_until INTO moment;

    old := ARRAY(
        SELECT m.message_id FROM messages m
        WHERE m.message_id >= begin_id AND m.message_id < least_id(moment) AND m.created_at < moment
          AND (SELECT true FROM work w WHERE w.message_id = m.message_id LIMIT 1) IS NULL
          AND (SELECT true FROM submits u WHERE u.message_id = m.message_id LIMIT 1) IS NULL
        ORDER BY m.message_id LIMIT page_count FOR UPDATE SKIP LOCKED);
    DELETE FROM segments WHERE message_id = ANY (old);
    DELETE FROM messages WHERE message_id = ANY (old);
    end_id := coalesce(old[cardinality(old)], begin_id);
    total := cardinality(old);

    DELETE FROM receipts WHERE receipt_id = ANY (ARRAY(
        SELECT r.receipt_id FROM receipts r
        WHERE r.receipt_id < least_id(moment) AND r.received_at < moment
        ORDER BY r.receipt_id LIMIT page_count FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    total := total + gone;

    DELETE FROM receipt_pages WHERE ctid = ANY (ARRAY(
        SELECT r.ctid FROM receipt_pages r WHERE r.last_message_id < least_id(moment)
        ORDER BY r.last_message_id LIMIT page_count FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    total := total + gone;

    WITH due AS MATERIALIZED (
        SELECT h.account_id FROM event_heads h
        WHERE (SELECT e.created_at FROM events e WHERE e.account_id = h.account_id
               ORDER BY e.sequence LIMIT 1) < moment
        LIMIT 1
    ), last AS MATERIALIZED (
        SELECT account_id, max(sequence) AS sequence FROM due CROSS JOIN LATERAL (
            SELECT e.sequence, e.created_at FROM events e WHERE e.account_id = due.account_id
            ORDER BY e.sequence LIMIT page_count
        ) first WHERE first.created_at < moment GROUP BY account_id
    )
    DELETE FROM events e USING last WHERE e.account_id = last.account_id AND e.sequence <= last.sequence;
    GET DIAGNOSTICS gone = ROW_COUNT;
    total := total + gone;

    WITH due AS MATERIALIZED (
        SELECT h.account_id FROM event_heads h
        WHERE (SELECT e.created_at FROM event_pages e WHERE e.account_id = h.account_id
               ORDER BY e.last_sequence LIMIT 1) < moment
          AND NOT EXISTS (SELECT FROM events e WHERE e.account_id = h.account_id)
        LIMIT 1
    ), last AS MATERIALIZED (
        SELECT account_id, max(last_sequence) AS sequence FROM due CROSS JOIN LATERAL (
            SELECT e.last_sequence, e.created_at FROM event_pages e WHERE e.account_id = due.account_id
            ORDER BY e.last_sequence LIMIT page_count
        ) first WHERE first.created_at < moment GROUP BY account_id
    )
    DELETE FROM event_pages e USING last
    WHERE e.account_id = last.account_id AND e.last_sequence <= last.sequence;
    GET DIAGNOSTICS gone = ROW_COUNT;
    total := total + gone;

    DELETE FROM ended_tokens WHERE token_id = ANY (ARRAY(
        SELECT token_id FROM ended_tokens WHERE ended_at < moment LIMIT page_count));
    GET DIAGNOSTICS gone = ROW_COUNT;
    row_count := total + gone;
END $$;
REVOKE EXECUTE ON FUNCTION forget_old(integer, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_old(integer, uuid) TO sluice_services;
