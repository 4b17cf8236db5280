-- expand
-- What the Aircall-shaped API asks for: numbers configured for it, the URLs that are called back for them, webhooks in its
-- form, and texts of 1,600 characters.

ALTER TABLE webhooks
    ADD COLUMN form text NOT NULL DEFAULT 'standard' CHECK (form IN ('standard', 'aircall')),
    ADD COLUMN name text NOT NULL DEFAULT ''; -- its owner's, where the form has one

CREATE TABLE line_callbacks ( -- a line in API mode
    line_id      integer PRIMARY KEY REFERENCES lines,
    account_id   integer NOT NULL REFERENCES accounts,
    url          text, -- NULL: nobody is called back
    sealed_token bytea NOT NULL, -- what proves to its owner that we call
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX line_callbacks_by_account ON line_callbacks (account_id);

CREATE TABLE callback_cursors ( -- up to which number an account's log has been told to its lines' URLs
    account_id   integer PRIMARY KEY REFERENCES accounts,
    read_until   bigint NOT NULL,
    lease_id     uuid, -- which process is at it
    leased_until timestamptz NOT NULL DEFAULT 'epoch'
);

-- What holds for the rows there are: nothing is looked through.
ALTER TABLE messages DROP CONSTRAINT messages_segment_count_check;
ALTER TABLE messages ADD CONSTRAINT messages_segment_count_check CHECK (segment_count BETWEEN 1 AND 25) NOT VALID;
