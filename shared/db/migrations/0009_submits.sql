-- expand
-- What is being submitted stands in a narrow table of its own, which shrinks again; a segment is written when its
-- submit has ended. So `segments` needs no index on anything that moves, and its later moves touch no index at all.

CREATE TABLE submits ( -- a row is an intent: it is there before any byte leaves, and gone with the answer's commit
    message_id   uuid NOT NULL,
    part         smallint NOT NULL,
    worker_id    uuid NOT NULL,
    submitted_at timestamptz NOT NULL,
    PRIMARY KEY (message_id, part)
);
-- Nobody may end a submit between the copy and the trigger below.
LOCK TABLE segments IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO submits (message_id, part, worker_id, submitted_at)
SELECT message_id, part, worker_id, submitted_at FROM segments WHERE state = 'submitting';

-- What became known about a segment. `alone`: its message has no other.
CREATE TYPE segment_evidence AS (
    message_id         uuid,
    part               smallint,
    state              text,
    accepted           boolean,
    carrier_message_id text,
    code               text,
    reason             text,
    submitted_at       timestamptz,
    alone              boolean
);

-- By when it was submitted, whatever became of it: what is still open is found by going through the time in order.
CREATE INDEX segments_by_submit ON segments (submitted_at) WHERE submitted_at IS NOT NULL;
CREATE INDEX segments_doubted ON segments (submitted_at) WHERE recipient IS NOT NULL;

-- How far a sweep that goes through the time has come: everything before is done with.
CREATE TABLE sweeps (
    name       text PRIMARY KEY,
    done_until timestamptz NOT NULL
);
INSERT INTO sweeps (name, done_until) VALUES ('overdue', '-infinity');

-- A dispatcher of the release before writes its intent into `segments`. It gets a row here, too; and none of what
-- somebody else is submitting.
CREATE FUNCTION submit_of_old() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'submitting' THEN
        DELETE FROM submits WHERE message_id = NEW.message_id AND part = NEW.part;
        RETURN NEW;
    END IF;
    INSERT INTO submits (message_id, part, worker_id, submitted_at)
    VALUES (NEW.message_id, NEW.part, NEW.worker_id, NEW.submitted_at)
    ON CONFLICT DO NOTHING;
    RETURN CASE WHEN FOUND THEN NEW END;
END $$;
CREATE TRIGGER submit_of_old BEFORE UPDATE ON segments
    FOR EACH ROW WHEN ((OLD.state = 'submitting') <> (NEW.state = 'submitting'))
    EXECUTE FUNCTION submit_of_old();

-- Room on each page for the later versions of its rows, so that these touch no index; a segment grows, too.
ALTER TABLE messages SET (fillfactor = 50);
ALTER TABLE segments SET (fillfactor = 35);
