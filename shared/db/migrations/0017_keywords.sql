-- expand
-- What a phone sends to a number of several accounts is for the one whose keyword is its first word.

ALTER TABLE lines ADD COLUMN keyword text CHECK (keyword <> ''); -- in capitals, as `first_word` makes them
-- Judged at the end, so that lines may exchange theirs.
ALTER TABLE lines ADD CONSTRAINT lines_one_keyword UNIQUE (sender, keyword) DEFERRABLE INITIALLY DEFERRED;
-- The constraint's index begins with the sender too.
DROP INDEX lines_by_sender;
