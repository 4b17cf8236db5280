-- contract: serves code from 9
-- No dispatcher writes its intent into `segments` any more.

DROP TRIGGER submit_of_old ON segments;
DROP FUNCTION submit_of_old();

-- What the last of them left: only its row in `submits` says that it is being submitted.
UPDATE segments SET state = 'queued', attempt_count = attempt_count - 1 WHERE state = 'submitting';

DROP INDEX segments_submitting;
DROP INDEX segments_open;
DROP TYPE segment_move;
DROP TYPE new_event;
ALTER TABLE segments DROP COLUMN worker_id;
