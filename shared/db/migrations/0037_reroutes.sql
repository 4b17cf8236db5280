-- contract: serves code from 36
-- A dispatcher of the release before submits by its own carrier whatever it finds in that one's queue, also what has been
-- given to another: so messages keep their carrier as long as such a dispatcher lives.

UPDATE platform SET reroutes = true;
UPDATE configuration_version SET version = version + 1 WHERE EXISTS (SELECT FROM accounts);
