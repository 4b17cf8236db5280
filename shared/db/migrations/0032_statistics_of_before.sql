-- contract: serves code from 31
-- Nobody gives money back any more without saying so: what was stored before 0031 may be counted, and what was stored
-- since is looked through once more.

UPDATE statistics_filling SET end_id = least_id(now() + interval '1 hour');
DELETE FROM statistics_filling WHERE NOT EXISTS (SELECT FROM messages);
