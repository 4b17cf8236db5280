-- expand
-- Where messages go, and what heals when a carrier is sick.

-- Of routes of one country and priority those with a weight share by it; the cost orders what is left. Who does not know
-- them goes by the priority.
ALTER TABLE routes ADD COLUMN weight integer NOT NULL DEFAULT 0 CHECK (weight >= 0);
ALTER TABLE routes ADD COLUMN cost_micro bigint CHECK (cost_micro >= 0);

-- Routes that name more than a country. The release before does not know them, and goes by `routes`.
CREATE TABLE narrow_routes (
    narrow_route_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    carrier_id      integer NOT NULL REFERENCES carriers,
    country         text NOT NULL, -- ISO 3166 alpha-2, or '*'
    prefix          text NOT NULL, -- '+' and digits, or ''
    network         text NOT NULL, -- MCC and MNC, or ''
    account_id      integer REFERENCES accounts,
    line_id         integer REFERENCES lines,
    class           smallint,
    priority        integer NOT NULL,
    weight          integer NOT NULL CHECK (weight >= 0),
    cost_micro      bigint CHECK (cost_micro >= 0),
    UNIQUE NULLS NOT DISTINCT (country, prefix, network, account_id, line_id, class, carrier_id)
);

-- What carriers answered, to a country ('*': their links, to all), second by second; for a few minutes.
CREATE TABLE carrier_answers (
    second        bigint NOT NULL, -- Unix time
    carrier_id    integer NOT NULL,
    country       text NOT NULL,
    taken_count   integer NOT NULL,
    refused_count integer NOT NULL,
    failed_count  integer NOT NULL, -- lost, not to be had, or "not by me"
    up_count      integer NOT NULL, -- processes whose link was up
    down_count    integer NOT NULL,
    PRIMARY KEY (second, carrier_id, country)
);

-- Carriers that are not well, to a country or to all ('*').
CREATE TABLE carrier_standings (
    carrier_id    integer NOT NULL REFERENCES carriers,
    country       text NOT NULL,
    condition     text NOT NULL CHECK (condition IN ('sick', 'down', 'trickle')),
    share         double precision NOT NULL, -- of the messages, which may go by it all the same
    since_seconds double precision NOT NULL, -- Unix time
    rest_seconds  double precision NOT NULL,
    cause         text NOT NULL,
    PRIMARY KEY (carrier_id, country)
);

-- Raised with every change of them, so that running processes notice.
CREATE TABLE standings_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version  bigint NOT NULL
);
INSERT INTO standings_version (version) VALUES (1);
REVOKE INSERT, DELETE ON standings_version FROM sluice_services;

-- Messages that a carrier has sent on to another: where they have been. Gone after their messages' validity.
CREATE TABLE detours (
    message_id uuid PRIMARY KEY,
    visited    integer[] NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX detours_by_end ON detours (expires_at);

-- Whether everybody who submits leaves alone what waits for another carrier by now: no release before this one does.
ALTER TABLE platform ADD COLUMN reroutes boolean NOT NULL DEFAULT false;
