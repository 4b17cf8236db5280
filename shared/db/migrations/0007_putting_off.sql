-- expand
-- How often a message was put off, for delays that grow; and one place for what holds for the whole platform.

ALTER TABLE work ADD COLUMN deferral_count smallint NOT NULL DEFAULT 0; -- since its last part was taken

CREATE TABLE platform (
    only_row                 boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Set with `sluice apply`.
    receipt_deadline_seconds integer NOT NULL DEFAULT 259200 CHECK (receipt_deadline_seconds > 0),
    -- Whether messages of several parts may be cut for 16 bit references: 0008 says when.
    long_references          boolean NOT NULL DEFAULT false
);
INSERT INTO platform DEFAULT VALUES;

-- So long after its submit a segment without a receipt becomes unknown, and a receipt without a segment is
-- looked for no more: asked by every statement that needs it, so no two processes can disagree.
CREATE FUNCTION receipt_deadline() RETURNS interval LANGUAGE sql STABLE AS
    'SELECT make_interval(secs => receipt_deadline_seconds) FROM platform';
