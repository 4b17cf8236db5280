-- expand
-- The daily chain of hashes over transfers: a link covers up to 10,000 of them, in the order of their numbers, and its
-- hash that of the link before. A day that has ended is closed by one link or more, by none of them but the last if
-- nothing was moved. `marks` are the first bytes of each transfer's own hash: they find the row that does not fit.

CREATE TABLE ledger_links (
    link             bigint PRIMARY KEY CHECK (link > 0),
    day              date NOT NULL,
    after_transfer_id bigint NOT NULL, -- the last of the link before
    last_transfer_id bigint NOT NULL,
    transfer_count   integer NOT NULL,
    marks            bytea NOT NULL,
    sha256           bytea NOT NULL,
    made_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ledger_links_of_day ON ledger_links (day);
CREATE TRIGGER ledger_links_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_links
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

REVOKE UPDATE, DELETE ON ledger_links FROM sluice_services;
