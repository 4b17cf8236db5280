-- expand
-- What would be overwritten or forgotten of a message's way, for its trace. All else that a trace tells stands in the
-- tables already: so what is accepted, submitted once and delivered writes nothing here.

-- The steps of one transaction, of messages that were made in one stretch of 2^16 ms: found like `receipt_pages`. Arrays
-- of the same length. No text, and nothing that names a phone.
CREATE TABLE trail_pages (
    last_message_id  uuid NOT NULL,
    first_message_id uuid NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT now(),
    message_ids      uuid[] NOT NULL,
    parts            smallint[] NOT NULL, -- 0: the whole message
    steps            text[] NOT NULL,
    begun_at         timestamptz[] NOT NULL, -- the submit's that it is about; NULL in it where about none
    untils           timestamptz[] NOT NULL, -- when it is to go on; NULL in it where nobody knows
    details          text[] NOT NULL -- the bucket that refused, or the carrier's word
);
CREATE INDEX trail_pages_by_message ON trail_pages (last_message_id);
CREATE TYPE new_trail_page AS (
    last_message_id  uuid,
    first_message_id uuid,
    message_ids      uuid[],
    parts            smallint[],
    steps            text[],
    begun_at         timestamptz[],
    untils           timestamptz[],
    details          text[]
);

REVOKE UPDATE, DELETE ON trail_pages FROM sluice_services;

ALTER TABLE trail_pages ALTER message_ids SET STORAGE MAIN, ALTER parts SET STORAGE MAIN, ALTER steps SET STORAGE MAIN,
    ALTER begun_at SET STORAGE MAIN, ALTER untils SET STORAGE MAIN, ALTER details SET STORAGE MAIN;
DO $$
BEGIN
    ALTER TABLE trail_pages ALTER message_ids SET COMPRESSION lz4, ALTER parts SET COMPRESSION lz4,
        ALTER steps SET COMPRESSION lz4, ALTER begun_at SET COMPRESSION lz4, ALTER untils SET COMPRESSION lz4,
        ALTER details SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END $$;

-- A page of trails goes with the messages they are of; how many went. As `forget_old`, which moves the moment, and is
-- called before it.
CREATE FUNCTION forget_old_trail(page_count integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    moment timestamptz;
    gone   bigint;
BEGIN
    SELECT done_until INTO moment FROM sweeps WHERE name = 'retention' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM trail_pages WHERE ctid = ANY (ARRAY(
        SELECT t.ctid FROM trail_pages t WHERE t.last_message_id < least_id(moment)
        ORDER BY t.last_message_id LIMIT page_count FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
REVOKE EXECUTE ON FUNCTION forget_old_trail FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_old_trail TO sluice_services;
