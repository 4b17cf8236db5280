-- expand
-- Which dispatcher may have which of a carrier's binds, where the carrier allows only so many over all of them.

-- A lease lasts as long as its worker beats, so it needs no renewal of its own.
CREATE TABLE bind_leases (
    carrier_id int      NOT NULL REFERENCES carriers,
    number     smallint NOT NULL CHECK (number > 0),
    worker_id  uuid     NOT NULL REFERENCES workers ON DELETE CASCADE,
    PRIMARY KEY (carrier_id, number)
);
CREATE INDEX bind_leases_by_worker ON bind_leases (worker_id);
