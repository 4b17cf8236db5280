-- expand
-- What costs more the more accounts and lines there are.

-- Raised with every token that ends or changes, so that what was found of the others may be believed for longer.
CREATE TABLE token_changes (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number   bigint NOT NULL
);
INSERT INTO token_changes (number) VALUES (1);
REVOKE INSERT, UPDATE, DELETE ON token_changes FROM sluice_services;

CREATE FUNCTION note_token_change() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE token_changes SET number = number + 1;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION note_token_change() FROM PUBLIC;
CREATE TRIGGER note_ended_token AFTER DELETE ON tokens
    FOR EACH ROW EXECUTE FUNCTION note_token_change();
-- Whatever columns there will be: only its uses, and the key it is stored under, are no change.
CREATE TRIGGER note_changed_token AFTER UPDATE ON tokens
    FOR EACH ROW WHEN (
        to_jsonb(OLD) - '{last_used_at,token_hash}'::text[] IS DISTINCT FROM to_jsonb(NEW) - '{last_used_at,token_hash}'::text[])
    EXECUTE FUNCTION note_token_change();

-- Rows of which there are many, each updated again and again by a column in no index: with room for that beside each
-- other they stay where they are, and their indexes as they are.
ALTER TABLE limit_usage SET (fillfactor = 50);
ALTER TABLE event_heads SET (fillfactor = 20);
ALTER TABLE wallets SET (fillfactor = 20);
ALTER TABLE daily_usage SET (fillfactor = 20);
