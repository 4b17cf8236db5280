-- expand
-- What wallets spend that nobody watches: written down a row a statement, and added to `spending` a little later.

-- Arrays of the same length: a place for each wallet and country of one statement.
CREATE TABLE spending_pages (
    slot           bigint NOT NULL, -- quarters of an hour since 1970
    wallet_ids     integer[] NOT NULL,
    countries      text[] NOT NULL,
    segment_counts bigint[] NOT NULL,
    amounts_micro  bigint[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
REVOKE UPDATE, DELETE ON spending_pages FROM sluice_services;

-- Adds up to so many pages to `spending` and takes them away, in one transaction, one caller at a time. Returns how many.
-- In the order in which those lock these rows who write to them at once.
INSERT INTO sweeps (name, done_until) VALUES ('spending', 'epoch');
CREATE FUNCTION add_up_spending(page_count integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    taken bigint;
BEGIN
    PERFORM FROM sweeps WHERE name = 'spending' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    WITH page AS MATERIALIZED (
        DELETE FROM spending_pages WHERE ctid = ANY (ARRAY(SELECT ctid FROM spending_pages LIMIT page_count))
        RETURNING *
    ), added AS (
        INSERT INTO spending AS s (wallet_id, country, slot, segment_count, amount_micro)
        SELECT e.wallet_id, coalesce(e.country, '*'), page.slot, sum(e.segment_count), sum(e.amount_micro)
        FROM page CROSS JOIN LATERAL unnest(wallet_ids, countries, segment_counts, amounts_micro)
            AS e (wallet_id, country, segment_count, amount_micro)
        GROUP BY GROUPING SETS ((e.wallet_id, e.country, page.slot), (e.wallet_id, page.slot))
        ORDER BY 1, 2, 3
        ON CONFLICT (wallet_id, country, slot)
        DO UPDATE SET segment_count = s.segment_count + excluded.segment_count,
                      amount_micro = s.amount_micro + excluded.amount_micro
    )
    SELECT count(*) INTO taken FROM page;
    RETURN taken;
END $$;
REVOKE EXECUTE ON FUNCTION add_up_spending FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_up_spending TO sluice_services;
