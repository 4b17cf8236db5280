-- expand
-- Nothing that names a phone, and no text, is kept for ever. Money is.

ALTER TABLE platform ADD COLUMN retention_days integer NOT NULL DEFAULT 90 CHECK (retention_days > 0); -- `sluice apply`
UPDATE platform SET retention_days = greatest(90, 39 + ceil(2 * receipt_deadline_seconds / 86400.0));

-- What was made before is or may be gone. It only rises, also when the retention becomes longer.
INSERT INTO sweeps (name, done_until) VALUES ('retention', 'epoch');

-- The bound between ids of version 7 made before a moment and those made later.
CREATE FUNCTION least_id(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS
    'SELECT rpad(lpad(to_hex(floor(extract(epoch FROM moment) * 1000)::bigint), 12, ''0''), 32, ''0'')::uuid';

-- What is older than the retention goes, a page of each table a call; the number of rows that went, 0 when none is left
-- or somebody else is at it. It works in its owner's right, for services may delete nothing of this but by age.
-- Whatever is set, nothing goes that may still move: sent 35 days ahead, valid for 3, believed for twice the deadline.
-- A message goes with its segments; one that still waits or is being submitted stays. Events go from an account's first
-- on, so that no gap is seen; their time is that of their transaction, which may be seconds from their order.
CREATE FUNCTION forget_old(page_count integer) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    moment timestamptz;
    old    uuid[];
    gone   bigint;
    total  bigint;
BEGIN
    PERFORM FROM sweeps WHERE name = 'retention' FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    UPDATE sweeps s SET done_until = greatest(s.done_until, now() - greatest(
        make_interval(days => p.retention_days), interval '39 days' + 2 * receipt_deadline()))
    FROM platform p WHERE s.name = 'retention' RETURNING s.done_until INTO moment;

    old := ARRAY(
        SELECT m.message_id FROM messages m
        WHERE m.message_id < least_id(moment) AND m.created_at < moment
          AND NOT EXISTS (SELECT FROM work w WHERE w.message_id = m.message_id)
          AND NOT EXISTS (SELECT FROM submits u WHERE u.message_id = m.message_id)
        ORDER BY m.message_id LIMIT page_count FOR UPDATE SKIP LOCKED);
    DELETE FROM segments WHERE message_id = ANY (old);
    DELETE FROM messages WHERE message_id = ANY (old);
    total := cardinality(old);

    DELETE FROM receipts WHERE receipt_id = ANY (ARRAY(
        SELECT r.receipt_id FROM receipts r
        WHERE r.receipt_id < least_id(moment) AND r.received_at < moment
        ORDER BY r.receipt_id LIMIT page_count FOR UPDATE SKIP LOCKED));
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

    DELETE FROM ended_tokens WHERE token_id = ANY (ARRAY(
        SELECT token_id FROM ended_tokens WHERE ended_at < moment LIMIT page_count));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN total + gone;
END $$;
REVOKE EXECUTE ON FUNCTION forget_old FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_old TO sluice_services;

GRANT DELETE ON daily_usage TO sluice_services;
