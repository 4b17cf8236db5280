-- expand
-- What is ready is taken by its carrier and class, so that each queue is filled as far as it is emptied. Beside its
-- time stands the end of its validity, for whoever looks for what is over.
CREATE INDEX work_ready_of_lane ON work (carrier_id, class, ready_at, expires_at) WHERE state = 'ready';
