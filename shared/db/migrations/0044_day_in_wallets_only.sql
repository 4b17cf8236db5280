-- contract: serves code from 43
-- Nobody looks any more in `daily_usage` for what is sent in this quarter of an hour.

-- A statement that has begun before this counts there, a later one in the wallet, which knows of the others only what was
-- there before its first. So the former must have committed before the latter begins.
LOCK TABLE wallets IN EXCLUSIVE MODE;

UPDATE platform SET day_apart = false;
