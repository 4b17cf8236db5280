-- expand
-- The chain of days goes through transfers by their numbers, a page at a time. They are written in that order, so the least
-- and the greatest number of every few blocks are enough to find a page by: an index of some kilobytes for a million
-- transfers, to which accepting writes nothing. While it is made, accepting waits (`docs/postgresql.md`).
CREATE INDEX transfers_by_number ON transfers USING brin (transfer_id)
    WITH (pages_per_range = 32, autosummarize = on);
-- Up to which number there may be any.
GRANT SELECT ON SEQUENCE transfers_transfer_id_seq TO sluice_services;
