-- expand
-- Producers are told by their webhooks. Each is a reader of its account's log of events with a number up to which it has
-- read; what failed waits beside it, one row an event, and a webhook that fails reads no further: so what one that is away
-- costs is bounded, and the log alone is the backlog.

ALTER TABLE platform ADD COLUMN egress_allow text[] NOT NULL DEFAULT '{}'; -- host:port, `sluice apply`

CREATE TABLE webhooks (
    webhook_id        uuid PRIMARY KEY,
    account_id        integer NOT NULL REFERENCES accounts,
    url               text NOT NULL,
    events            text[] NOT NULL, -- types, or patterns of them
    sealed_secret     bytea NOT NULL,
    sealed_old_secret bytea, -- good until `old_secret_until`
    old_secret_until  timestamptz,
    state             text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
    reason            text NOT NULL DEFAULT '', -- why it is disabled
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now(), -- by its owner, or disabled
    read_until        bigint NOT NULL, -- the last number of the account's log that it need not read any more
    failure_count     integer NOT NULL DEFAULT 0, -- tries that failed since the last that did not
    failing_since     timestamptz, -- the first of these
    due_at            timestamptz NOT NULL DEFAULT now(), -- nothing is done for it before
    retry_at          timestamptz, -- the first time of its retries
    lease_id          uuid, -- which process is at it
    leased_until      timestamptz NOT NULL DEFAULT 'epoch'
);
CREATE INDEX webhooks_by_account ON webhooks (account_id, webhook_id);
CREATE INDEX webhooks_by_due ON webhooks (due_at) WHERE state = 'active';

CREATE TABLE webhook_retries ( -- an event that a webhook has been told of in vain
    webhook_id     uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    sequence       bigint NOT NULL,
    try_count      integer NOT NULL,
    first_tried_at timestamptz NOT NULL,
    due_at         timestamptz NOT NULL,
    PRIMARY KEY (webhook_id, sequence)
);
CREATE INDEX webhook_retries_by_due ON webhook_retries (webhook_id, due_at);

-- What was tried in one round. Arrays of the same length; an answer's status is 0 where none came.
CREATE TABLE webhook_tries (
    webhook_id  uuid NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    page_id     bigint GENERATED ALWAYS AS IDENTITY,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    sequences   bigint[] NOT NULL,
    statuses    smallint[] NOT NULL,
    outcomes    text[] NOT NULL,
    tried_at    timestamptz[] NOT NULL,
    PRIMARY KEY (webhook_id, page_id)
);
CREATE INDEX webhook_tries_by_time ON webhook_tries (recorded_at);
