-- expand
-- What happens to messages is noted a row a statement, whoever's they are, and numbered a little later: so an account's
-- page holds what many statements have noted.

ALTER TABLE event_pages ADD COLUMN happened_at timestamptz[]; -- NULL: all at `created_at`, which is else the last one's
ALTER TABLE event_pages ALTER happened_at SET STORAGE MAIN;

-- Arrays of the same length: a place for each event of one statement. Whoever notes what follows from another's note has
-- waited for its commit, and draws a greater number.
CREATE TABLE event_notes (
    note_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_ids integer[] NOT NULL,
    message_ids uuid[] NOT NULL,
    statuses    text[] NOT NULL,
    reasons     text[] NOT NULL,
    refs        text[] NOT NULL, -- the producer's references; NULL where it gave none
    created_at  timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
REVOKE UPDATE, DELETE ON event_notes FROM sluice_services;

ALTER TABLE event_notes ALTER account_ids SET STORAGE MAIN, ALTER message_ids SET STORAGE MAIN,
    ALTER statuses SET STORAGE MAIN, ALTER reasons SET STORAGE MAIN, ALTER refs SET STORAGE MAIN;
-- A server built without lz4 keeps its older method.
DO $$
BEGIN
    ALTER TABLE event_pages ALTER happened_at SET COMPRESSION lz4;
    ALTER TABLE event_notes ALTER account_ids SET COMPRESSION lz4, ALTER message_ids SET COMPRESSION lz4,
        ALTER statuses SET COMPRESSION lz4, ALTER reasons SET COMPRESSION lz4, ALTER refs SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END $$;

-- Numbers what is noted in these rows and takes them away; returns how many events. A page has at most 500, so that who
-- follows a cursor reads little that is not asked for.
CREATE FUNCTION number_notes(places tid[]) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    numbered bigint;
BEGIN
    WITH note AS MATERIALIZED (
        DELETE FROM event_notes WHERE ctid = ANY (places) RETURNING *
    ), noted AS MATERIALIZED (
        SELECT account_id, count(*)::integer AS event_count, array_agg(message_id) AS message_ids,
               array_agg(status) AS statuses, array_agg(reason) AS reasons, array_agg(reference) AS refs,
               array_agg(happened_at) AS happened_at
        FROM (
            SELECT e.*, n.created_at AS happened_at
            FROM note n
            CROSS JOIN LATERAL unnest(n.account_ids, n.message_ids, n.statuses, n.reasons, n.refs) WITH ORDINALITY
                AS e (account_id, message_id, status, reason, reference, place)
            ORDER BY e.account_id, n.note_id, e.place
        ) event GROUP BY account_id
    ), head AS (
        UPDATE event_heads h SET last_sequence = h.last_sequence + n.event_count
        FROM noted n WHERE h.account_id = n.account_id
        RETURNING h.last_sequence - n.event_count AS before, n.*
    ), row_apart AS (
        INSERT INTO events (account_id, sequence, message_id, status, reason, reference, created_at)
        SELECT h.account_id, h.before + e.place, e.message_id, e.status, e.reason, e.reference, e.happened_at
        FROM head h
        CROSS JOIN LATERAL unnest(h.message_ids, h.statuses, h.reasons, h.refs, h.happened_at) WITH ORDINALITY
            AS e (message_id, status, reason, reference, happened_at, place)
        WHERE (SELECT old_readers FROM platform)
    ), event_page AS (
        INSERT INTO event_pages (account_id, last_sequence, message_ids, statuses, reasons, refs, happened_at,
            created_at)
        SELECT h.account_id, h.before + p.last, h.message_ids[p.first:p.last], h.statuses[p.first:p.last],
               h.reasons[p.first:p.last], h.refs[p.first:p.last], h.happened_at[p.first:p.last], h.happened_at[p.last]
        FROM head h
        CROSS JOIN LATERAL (
            SELECT first, least(first + 499, h.event_count) AS last FROM generate_series(1, h.event_count, 500) AS first
        ) p
        WHERE NOT (SELECT old_readers FROM platform)
    )
    SELECT coalesce(sum(event_count), 0) INTO numbered FROM noted;
    RETURN numbered;
END $$;

-- Numbers what was noted before the call, the oldest first, up to so many events and the rest of a note; returns how
-- many. One caller after the other, so that whoever has waited finds numbered what the one before has seen. That there
-- is nothing is seen by the index, and not by going through what is gone and not vacuumed yet.
CREATE FUNCTION number_events(event_count integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF (SELECT note_id FROM event_notes ORDER BY note_id LIMIT 1) IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock(x'51C1CE07'::bigint);
    RETURN number_notes(ARRAY(
        SELECT place FROM (
            SELECT ctid AS place, sum(size) OVER (ORDER BY note_id) - size AS before
            FROM (SELECT ctid, note_id, cardinality(message_ids) AS size FROM event_notes
                  ORDER BY note_id LIMIT event_count) oldest
        ) note WHERE before < event_count));
END $$;

-- While processes of the release before live, which number what they write at once: so is what is noted, lest what they
-- write of a message overtakes it.
CREATE FUNCTION number_at_once() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    -- Several do it at once, and whoever numbers goes through heads in any order.
    PERFORM FROM event_heads WHERE account_id IN (SELECT unnest(account_ids) FROM noted)
    ORDER BY account_id FOR NO KEY UPDATE;
    PERFORM number_notes(ARRAY(
        SELECT ctid FROM event_notes WHERE note_id = ANY (ARRAY(SELECT note_id FROM noted))));
    RETURN NULL;
END $$;
CREATE TRIGGER number_at_once AFTER INSERT ON event_notes REFERENCING NEW TABLE AS noted
    FOR EACH STATEMENT EXECUTE FUNCTION number_at_once();

REVOKE EXECUTE ON FUNCTION number_notes, number_events, number_at_once FROM PUBLIC;
GRANT EXECUTE ON FUNCTION number_events TO sluice_services;

-- Every event: in a row of its own, in a page, or noted and not numbered yet. The last have no `sequence`; of one message
-- they follow by `note_id`.
CREATE OR REPLACE VIEW all_events AS
SELECT account_id, sequence, message_id, status, reason, reference, created_at, NULL::bigint AS note_id FROM events
UNION ALL
SELECT p.account_id, p.last_sequence - cardinality(p.message_ids) + e.place, e.message_id, e.status, e.reason,
       e.reference, coalesce(e.happened_at, p.created_at), NULL
FROM event_pages p
CROSS JOIN LATERAL unnest(p.message_ids, p.statuses, p.reasons, p.refs, p.happened_at) WITH ORDINALITY
    AS e (message_id, status, reason, reference, happened_at, place)
UNION ALL
SELECT e.account_id, NULL, e.message_id, e.status, e.reason, e.reference, n.created_at, n.note_id
FROM event_notes n
CROSS JOIN LATERAL unnest(n.account_ids, n.message_ids, n.statuses, n.reasons, n.refs)
    AS e (account_id, message_id, status, reason, reference);
