-- expand
-- What the Mailjet-shaped API asks for: senders that become lines when they are first used, and answers that are kept for
-- as long as its clients may repeat a request by themselves, and no longer.

-- true: the account sends from lines that an operator made, and from no others. Accounts of before go on as they were.
ALTER TABLE accounts ADD COLUMN senders_restricted boolean NOT NULL DEFAULT true;
ALTER TABLE accounts ALTER senders_restricted SET DEFAULT false;

ALTER TABLE idempotency_keys ADD COLUMN good_until timestamptz; -- NULL: as long as any key
CREATE INDEX idempotency_keys_good_until ON idempotency_keys (good_until) WHERE good_until IS NOT NULL;
