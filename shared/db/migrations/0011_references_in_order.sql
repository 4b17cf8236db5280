-- expand
-- An account's messages of one reference, newest first, by a range of one index. The index before had no order in it
-- and was asked by no statement.

CREATE INDEX messages_by_reference_and_id ON messages (account_id, reference, message_id) WHERE reference IS NOT NULL;
DROP INDEX messages_by_reference;
