-- expand
-- What receipts say beside an id, and by whom segments whose id nobody knows can be found.

ALTER TABLE receipts
    ADD COLUMN phones      text[],    -- the numbers it names, digits only: the recipient is one of them
    ADD COLUMN reference   integer,   -- our own 16 bits, given back
    ADD COLUMN submit_date timestamp, -- the carrier's time of the submit, in a zone it does not name
    ADD COLUMN by_id_only  boolean NOT NULL DEFAULT false; -- may end no doubt
CREATE INDEX receipts_claiming ON receipts (carrier_id, phones) WHERE retry_at IS NOT NULL;

-- Written when a segment comes into doubt, or is accepted without an id, and kept. Segments of the
-- ordinary way have none, and so are not in the index.
ALTER TABLE segments ADD COLUMN recipient text;
CREATE INDEX segments_nameless ON segments (carrier_id, "right"(recipient, 7), submitted_at)
    WHERE recipient IS NOT NULL;
UPDATE segments s SET recipient = m.recipient FROM messages m
WHERE m.message_id = s.message_id AND s.state IN ('submitted', 'in_doubt') AND s.carrier_message_id IS NULL;

-- What is stored of an unmatched receipt for its next tries.
CREATE TYPE receipt_seeking AS (
    receipt_id  uuid,
    phones      text[],
    reference   integer,
    submit_date timestamp,
    by_id_only  boolean
);

-- What a receipt says of whose it is.
CREATE TYPE receipt_clue AS (
    carrier_id         integer,
    carrier_message_id text,
    phones             text[],
    received_at        timestamptz,
    reference          integer
);
