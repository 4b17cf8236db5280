-- expand
-- How often a message was put off, for delays that grow; and one place for the receipts' deadline.

ALTER TABLE work ADD COLUMN deferral_count smallint NOT NULL DEFAULT 0; -- since its last part was taken

-- What an operator sets once for the whole platform, with `sluice apply`.
CREATE TABLE platform (
    only_row                 boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    receipt_deadline_seconds integer NOT NULL DEFAULT 259200 CHECK (receipt_deadline_seconds > 0)
);
INSERT INTO platform DEFAULT VALUES;

-- So long after its submit a segment without a receipt becomes unknown, and a receipt without a segment is
-- looked for no more: asked by every statement that needs it, so no two processes can disagree.
CREATE FUNCTION receipt_deadline() RETURNS interval LANGUAGE sql STABLE AS
    'SELECT make_interval(secs => receipt_deadline_seconds) FROM platform';
