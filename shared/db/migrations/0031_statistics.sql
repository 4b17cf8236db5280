-- expand
-- What an account has sent, by day, country, class and what became of it: counted as it happens, equal to a recount at
-- any moment. Exports of it, and of messages.

-- Of the part that decides a message's status: the carrier's word. Without it the code would be in `segments` alone.
ALTER TABLE messages ADD COLUMN code text NOT NULL DEFAULT '';
-- Segments whose debit was given back: what a message has cost is what is left.
ALTER TABLE messages ADD COLUMN refunded_segment_count smallint NOT NULL DEFAULT 0;
-- Whether the statistics know it. What is stored already they do not; what comes from now on they do, whoever stores it.
ALTER TABLE messages ADD COLUMN is_counted boolean NOT NULL DEFAULT false;
ALTER TABLE messages ALTER COLUMN is_counted SET DEFAULT true;

-- Three months of it. Days are of UTC, and of when a message was accepted.
CREATE TABLE statistics (
    account_id    integer NOT NULL,
    day           date NOT NULL,
    country       text NOT NULL,
    class         smallint NOT NULL,
    currency      text NOT NULL,
    status        text NOT NULL,
    reason        text NOT NULL,
    code          text NOT NULL,
    message_count bigint NOT NULL,
    segment_count bigint NOT NULL,
    cost_micro    bigint NOT NULL,
    PRIMARY KEY (account_id, day, country, class, currency, status, reason, code)
) WITH (fillfactor = 70);
CREATE INDEX statistics_by_day ON statistics (day);

-- What has changed since, a row a statement, however many accounts it was about; until it is added to `statistics`.
-- What has left one status for another is taken off the one and put to the other.
CREATE TYPE statistics_entry AS (
    account_id    integer,
    day           date,
    country       text,
    class         smallint,
    currency      text,
    status        text,
    reason        text,
    code          text,
    message_count bigint,
    segment_count bigint,
    cost_micro    bigint
);
CREATE TABLE statistics_pages (
    entries statistics_entry[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE FUNCTION statistics_begin() RETURNS date LANGUAGE sql STABLE AS
    $$ SELECT ((now() AT TIME ZONE 'UTC')::date - interval '3 months')::date $$;

-- Whoever stores or moves messages, also a process of the release before, writes what that changes, in the same
-- statement; so there is never one without the other. They work in their owner's right: services may only read it.
CREATE FUNCTION count_stored() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO statistics_pages (entries)
    SELECT array_agg(ROW(account_id, day, country, class, currency, status, reason, code,
                         message_count, segment_count, cost_micro)::statistics_entry)
    FROM (
        SELECT account_id, (created_at AT TIME ZONE 'UTC')::date AS day, country, class, currency, status, reason, code,
               count(*) AS message_count, sum(segment_count) AS segment_count,
               sum((segment_count - refunded_segment_count) * segment_price_micro)::bigint AS cost_micro
        FROM stored WHERE is_counted GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ) entry HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER count_stored AFTER INSERT ON messages REFERENCING NEW TABLE AS stored
    FOR EACH STATEMENT EXECUTE FUNCTION count_stored();

CREATE FUNCTION count_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO statistics_pages (entries)
    SELECT array_agg(ROW(account_id, day, country, class, currency, status, reason, code,
                         message_count, segment_count, cost_micro)::statistics_entry)
    FROM (
        SELECT account_id, (created_at AT TIME ZONE 'UTC')::date AS day, country, class, currency, status, reason, code,
               sum(sign) AS message_count, sum(sign * segment_count) AS segment_count,
               sum(sign * (segment_count - refunded_segment_count) * segment_price_micro)::bigint AS cost_micro
        FROM (
            SELECT -1 AS sign, account_id, created_at, country, class, currency, status, reason, code, segment_count,
                   refunded_segment_count, segment_price_micro
            FROM before WHERE is_counted
            UNION ALL
            SELECT 1, account_id, created_at, country, class, currency, status, reason, code, segment_count,
                   refunded_segment_count, segment_price_micro
            FROM after WHERE is_counted
        ) change
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ) entry
    WHERE message_count <> 0 OR segment_count <> 0 OR cost_micro <> 0
    HAVING count(*) > 0;
    RETURN NULL;
END $$;
CREATE TRIGGER count_changed AFTER UPDATE ON messages REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed();

-- Adds up to so many pages to `statistics` and takes them away, in one transaction, one caller at a time; and takes away
-- days that are over three months old. Returns the number of pages.
-- Codes are carriers' words, and a carrier may invent one a message: of an account's day no more than 2,000 rows are
-- told apart, what is beyond is counted under the code 'other'. A row that is there stays, so whatever was put to it
-- is taken off it.
INSERT INTO sweeps (name, done_until) VALUES ('statistics', 'epoch');
CREATE FUNCTION add_up_statistics(page_count integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    begins date := statistics_begin();
    taken  bigint;
BEGIN
    PERFORM FROM sweeps WHERE name = 'statistics' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    WITH page AS MATERIALIZED (
        DELETE FROM statistics_pages WHERE ctid = ANY (ARRAY(SELECT ctid FROM statistics_pages LIMIT page_count))
        RETURNING entries
    ), added AS MATERIALIZED (
        SELECT e.account_id, e.day, e.country, e.class, e.currency, e.status, e.reason, e.code,
               sum(e.message_count) AS message_count, sum(e.segment_count) AS segment_count,
               sum(e.cost_micro) AS cost_micro
        FROM page CROSS JOIN LATERAL unnest(page.entries) e
        WHERE e.day >= begins
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
        HAVING sum(e.message_count) <> 0 OR sum(e.segment_count) <> 0 OR sum(e.cost_micro) <> 0
    ), known AS MATERIALIZED (
        SELECT a.*, (a.reason = '' AND a.code = '') OR (
            SELECT true FROM statistics s
            WHERE s.account_id = a.account_id AND s.day = a.day AND s.country = a.country AND s.class = a.class
              AND s.currency = a.currency AND s.status = a.status AND s.reason = a.reason AND s.code = a.code
            ) IS TRUE AS is_there
        FROM added a
    ), placed AS (
        SELECT k.*, CASE WHEN is_there THEN true
            ELSE row_number() OVER (PARTITION BY account_id, day, is_there) + (SELECT count(*) FROM (
                SELECT FROM statistics s WHERE s.account_id = k.account_id AND s.day = k.day LIMIT 2000
            ) present) <= 2000 END AS fits
        FROM known k
    ), counted AS (
        INSERT INTO statistics AS s (account_id, day, country, class, currency, status, reason, code,
            message_count, segment_count, cost_micro)
        SELECT account_id, day, country, class, currency, status, CASE WHEN fits THEN reason ELSE '' END,
               CASE WHEN fits THEN code ELSE 'other' END,
               sum(message_count), sum(segment_count), sum(cost_micro)
        FROM placed GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
        ON CONFLICT (account_id, day, country, class, currency, status, reason, code) DO UPDATE
        SET message_count = s.message_count + excluded.message_count,
            segment_count = s.segment_count + excluded.segment_count,
            cost_micro = s.cost_micro + excluded.cost_micro
    )
    SELECT count(*) INTO taken FROM page;
    DELETE FROM statistics WHERE ctid = ANY (ARRAY(SELECT ctid FROM statistics WHERE day < begins LIMIT 1000));
    RETURN taken;
END $$;

-- What was stored before this was: counted by pages of messages, in the order of their ids, once no process of the
-- release before lives that gives money back without saying so (0032 sets `end_id`). No row: it is done.
CREATE TABLE statistics_filling (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    next_id  uuid NOT NULL, -- all before it is counted
    end_id   uuid -- NULL: it may not begin
);
INSERT INTO statistics_filling (next_id) VALUES (least_id('epoch'));

-- Counts a page; whether there may be more to do now. Rows that somebody else holds are left for the next call.
CREATE FUNCTION fill_statistics(page_count integer) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    filling statistics_filling;
    page    uuid[];
    held    uuid[];
    missed  uuid;
BEGIN
    SELECT * INTO filling FROM statistics_filling WHERE end_id IS NOT NULL FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    page := ARRAY(
        SELECT message_id FROM messages
        WHERE message_id >= greatest(filling.next_id, least_id(statistics_begin() - 1)) AND message_id < filling.end_id
        ORDER BY message_id LIMIT page_count);
    IF cardinality(page) = 0 THEN
        DELETE FROM statistics_filling;
        RETURN false;
    END IF;
    held := ARRAY(SELECT message_id FROM messages WHERE message_id = ANY (page)
                  ORDER BY message_id FOR UPDATE SKIP LOCKED);
    UPDATE messages m
    SET is_counted = true, refunded_segment_count = f.refunded_count,
        code = CASE WHEN m.code <> '' OR m.is_counted THEN m.code ELSE f.code END
    FROM (
        SELECT message_id,
               (SELECT count(*) FROM transfers t WHERE t.message_id = h.message_id AND t.kind = 'refund')
                   AS refunded_count,
               coalesce((SELECT s.code FROM segments s JOIN messages o USING (message_id)
                         WHERE s.message_id = h.message_id AND s.state = o.status ORDER BY s.part LIMIT 1), '') AS code
        FROM unnest(held) AS h (message_id)
    ) f
    WHERE m.message_id = f.message_id AND (NOT m.is_counted OR m.refunded_segment_count <> f.refunded_count);
    SELECT min(p::text)::uuid INTO missed FROM unnest(page) p WHERE p <> ALL (held);
    UPDATE statistics_filling SET next_id = coalesce(missed, page[cardinality(page)]);
    IF missed IS NULL AND cardinality(page) < page_count THEN
        DELETE FROM statistics_filling;
    END IF;
    RETURN missed IS NULL AND cardinality(page) = page_count;
END $$;

REVOKE INSERT, UPDATE, DELETE ON statistics, statistics_pages, statistics_filling FROM sluice_services;
REVOKE EXECUTE ON FUNCTION count_stored, count_changed, add_up_statistics, fill_statistics FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_up_statistics, fill_statistics TO sluice_services;

-- What is sent to a file: by whichever worker has the lease, a slice at a time, each piece with how far it has come in
-- one transaction. So another goes on where a dead one stopped.
CREATE TABLE exports (
    export_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   integer NOT NULL REFERENCES accounts,
    kind         text NOT NULL CHECK (kind IN ('messages', 'statistics')),
    format       text NOT NULL CHECK (format IN ('csv', 'jsonl')),
    from_at      timestamptz NOT NULL,
    to_at        timestamptz NOT NULL CHECK (to_at > from_at),
    statuses     text[], -- NULL: all
    country      text,
    class        smallint,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'in_progress', 'completed', 'error')),
    progress     smallint NOT NULL DEFAULT 0 CHECK (progress BETWEEN 0 AND 100), -- percent
    row_count    bigint NOT NULL DEFAULT 0,
    byte_count   bigint NOT NULL DEFAULT 0, -- of the file, as it is downloaded
    piece_count  integer NOT NULL DEFAULT 0,
    read_until   uuid, -- messages up to this id are written
    worker_id    uuid,
    leased_until timestamptz,
    try_count    smallint NOT NULL DEFAULT 0, -- leases in a row that have written nothing
    created_at   timestamptz NOT NULL DEFAULT now(),
    touched_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    expires_at   timestamptz NOT NULL DEFAULT now() + interval '7 days'
) WITH (fillfactor = 70);
CREATE INDEX exports_of_account ON exports (account_id, export_id);
CREATE INDEX exports_open ON exports (touched_at) WHERE state IN ('pending', 'in_progress');
CREATE INDEX exports_by_expiry ON exports (expires_at);

CREATE TABLE export_pieces (
    export_id    bigint NOT NULL REFERENCES exports ON DELETE CASCADE,
    piece_number integer NOT NULL,
    octets       bytea NOT NULL, -- gzip
    PRIMARY KEY (export_id, piece_number)
);
ALTER TABLE export_pieces ALTER octets SET STORAGE EXTERNAL;
