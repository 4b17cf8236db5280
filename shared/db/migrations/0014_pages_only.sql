-- contract: serves code from 13
-- Nobody looks any more for an event in a row of its own, or for a part's row before there is a word of it.

-- A statement that has begun before this writes rows, a later one pages, and whoever bumps an account's head first is
-- first in its log. So the former must have committed before the latter begins.
LOCK TABLE event_heads IN EXCLUSIVE MODE;

UPDATE platform SET old_readers = false;

-- Most of what is accepted is claimed within its lease: it needs no entry by its end. What stays ready has its end
-- beside its time.
DROP INDEX work_expiry;
CREATE INDEX work_expiring ON work (expires_at) WHERE state <> 'ready';
CREATE INDEX work_ready_until ON work (ready_at, expires_at) WHERE state = 'ready';
DROP INDEX work_ready;

DROP FUNCTION forget_old(integer);
