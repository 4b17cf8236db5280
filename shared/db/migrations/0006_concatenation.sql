-- expand
-- The reference by which a phone joins the parts of a message again. NULL: a message of one part, or of the release
-- before, which took eight bits of the id.

ALTER TABLE messages ADD COLUMN concat_reference integer CHECK (concat_reference BETWEEN 0 AND 65535);

-- The last reference taken for a phone. Once free_at is over, no message that has one of them can be on the air.
CREATE TABLE concatenations (
    recipient      text PRIMARY KEY,
    last_reference integer NOT NULL,
    free_at        timestamptz NOT NULL
);
CREATE INDEX concatenations_free ON concatenations (free_at);
