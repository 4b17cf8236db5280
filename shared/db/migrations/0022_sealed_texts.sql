-- expand
-- Texts that are not to be kept (A11): sealed while they are needed, gone with the status that needs them no more.
-- What a message's text was is then in no row: `messages.body` is '' from the beginning, which no text is.

CREATE TABLE sealed_texts (
    subject_id uuid PRIMARY KEY, -- a message, or an inbound message
    salt       bytea NOT NULL, -- without it, the platform's keys do not open the text
    octets     bytea NOT NULL,
    key_name   bytea NOT NULL, -- which of the platform's keys it takes
    until      timestamptz -- of an inbound message, when it goes at the latest; NULL: with its message's status
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 200);
CREATE INDEX sealed_texts_until ON sealed_texts (until) WHERE until IS NOT NULL;

-- A dispatcher of the release before would take the empty text for the message's: see 0024.
ALTER TABLE platform ADD COLUMN seals_texts boolean NOT NULL DEFAULT false;

-- Whoever moves a status, also a process of the release before, ends the text of what will not be submitted again:
-- the other statuses are those of `TO_SUBMIT` in `shared/sms/states.py`.
CREATE FUNCTION erase_sealed_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM sealed_texts WHERE subject_id = NEW.message_id;
    RETURN NULL;
END $$;
CREATE TRIGGER erase_sealed_text AFTER UPDATE OF status ON messages
    FOR EACH ROW WHEN (NEW.body = '' AND NEW.status NOT IN ('scheduled', 'queued', 'parked', 'in_doubt'))
    EXECUTE FUNCTION erase_sealed_text();

-- Whether its text may be kept. No released code writes this type yet.
ALTER TYPE judged_message ADD ATTRIBUTE store_body boolean;

-- What a phone has sent to a line that keeps no texts: its row has neither text nor data.
ALTER TABLE inbound ADD COLUMN body_stored boolean NOT NULL DEFAULT true;
