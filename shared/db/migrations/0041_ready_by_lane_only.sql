-- contract: serves code from 40
-- Processes of the release before take what is ready by its time alone.
DROP INDEX work_ready_until;
