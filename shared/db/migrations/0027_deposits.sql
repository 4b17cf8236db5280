-- expand
-- Deposits by card: what was asked for, step by step, what the provider of card payments says of it, and what came of it.

-- What a payer agrees to with an order. A version is never changed; the newest is in force.
CREATE TABLE terms (
    version      text PRIMARY KEY CHECK (version ~ '^[A-Za-z0-9._-]{1,32}$'),
    text_en      text NOT NULL,
    text_de      text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO terms (version, text_en, text_de) VALUES (
    '1',
    'I send SMS only to contacts who have explicitly agreed to receive them from me. I know that a breach can bring a fine'
    || ' or the end of the service. Deposits are not refunded.',
    'Ich sende SMS nur an Kontakte, die ausdrücklich zugestimmt haben, sie von mir zu erhalten. Mir ist bekannt, dass ein'
    || ' Verstoß eine Geldstrafe oder das Ende des Dienstes nach sich ziehen kann. Einzahlungen werden nicht erstattet.'
);

-- A card an account has paid with, by the provider's fingerprint: its number is known to nobody here.
CREATE TABLE cards (
    card_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    account_id   integer NOT NULL REFERENCES accounts,
    provider     text NOT NULL,
    fingerprint  text NOT NULL,
    brand        text NOT NULL,
    last_digits  text NOT NULL CHECK (last_digits ~ '^[0-9]{0,4}$'),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    validated_at timestamptz, -- a payment with it was validated and charged; a dispute takes that back
    UNIQUE (account_id, provider, fingerprint)
);

CREATE TABLE deposits (
    deposit_id        uuid PRIMARY KEY, -- version 7: ordered by time
    account_id        integer NOT NULL REFERENCES accounts,
    currency          text NOT NULL CHECK (currency IN ('EUR', 'GBP', 'USD')),
    amount_micro      bigint NOT NULL CHECK (amount_micro >= 1000000 AND amount_micro % 10000 = 0),
    idempotency_key   text,
    state             text NOT NULL DEFAULT 'draft' CHECK (state IN (
        'draft', 'details_confirmed', 'method_chosen', 'ordered', 'pending', 'credited', 'failed', 'expired')),
    reason            text NOT NULL DEFAULT '',
    method            text CHECK (method IN ('card')),
    terms_version     text REFERENCES terms,
    terms_accepted_at timestamptz,
    terms_accepted_by text,
    provider          text,
    session_id        text, -- the provider's page on which the card is entered
    checkout_url      text,
    payment_id        text,
    card_id           bigint REFERENCES cards,
    held_micro        bigint CHECK (held_micro > 0), -- what the card's bank holds back for us
    -- The intent, stored before the provider is told: whoever finds it repeats the call under the same key.
    decision          text CHECK (decision IN ('capture', 'cancel')),
    credited_micro    bigint CHECK (credited_micro > 0), -- the provider's amount
    transfer_id       bigint UNIQUE,
    created_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    confirmed_at      timestamptz,
    method_chosen_at  timestamptz,
    ordered_at        timestamptz,
    pending_at        timestamptz,
    validate_by       timestamptz, -- until when a card that was never used before is judged
    ended_at          timestamptz,
    expires_at        timestamptz NOT NULL, -- when it is given up unless it was ordered, and paid
    look_at           timestamptz, -- when to ask the provider again, or to give it up; none: it has ended
    look_count        integer NOT NULL DEFAULT 0,
    CHECK ((state = 'credited') = (transfer_id IS NOT NULL) AND (state = 'credited') = (credited_micro IS NOT NULL)),
    CHECK (state NOT IN ('ordered', 'pending', 'credited') OR (method IS NOT NULL AND provider IS NOT NULL
        AND terms_version IS NOT NULL AND terms_accepted_at IS NOT NULL AND terms_accepted_by IS NOT NULL)),
    CHECK (state <> 'pending' OR (held_micro IS NOT NULL AND validate_by IS NOT NULL AND payment_id IS NOT NULL)),
    CHECK ((state IN ('credited', 'failed', 'expired')) = (ended_at IS NOT NULL)),
    UNIQUE (provider, session_id),
    UNIQUE (provider, payment_id)
);
CREATE INDEX deposits_of_account ON deposits (account_id, deposit_id);
CREATE UNIQUE INDEX deposits_by_key ON deposits (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX deposits_due ON deposits (look_at) WHERE look_at IS NOT NULL;
CREATE INDEX deposits_pending ON deposits (account_id) WHERE state = 'pending';

-- Money that was credited stays so, whatever is said later (M27).
CREATE FUNCTION keep_credited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'deposit % is credited', OLD.deposit_id;
END $$;
CREATE TRIGGER credited_deposits_are_immutable BEFORE UPDATE ON deposits
    FOR EACH ROW WHEN (OLD.state = 'credited') EXECUTE FUNCTION keep_credited();

-- What the provider has told, once each: signed by it, and without what it says of the payer. The deposit is then looked
-- at with the provider, so that neither repetition nor order nor what an event says decides about money.
CREATE TABLE payment_events (
    provider    text NOT NULL,
    event_id    text NOT NULL,
    type        text NOT NULL,
    deposit_id  uuid,
    payment_id  text,
    made_at     timestamptz NOT NULL, -- by the provider's clock
    sha256      bytea NOT NULL, -- of the body
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, event_id)
);
CREATE INDEX payment_events_of_deposit ON payment_events (deposit_id) WHERE deposit_id IS NOT NULL;

-- A payer's bank takes the money back from us. It is recorded; the wallet is left alone (M27).
CREATE TABLE payment_disputes (
    provider     text NOT NULL,
    dispute_id   text NOT NULL,
    deposit_id   uuid NOT NULL REFERENCES deposits,
    amount_micro bigint NOT NULL CHECK (amount_micro >= 0),
    disputed_currency text NOT NULL, -- a bank may take it back in its own
    reason       text NOT NULL,
    status       text NOT NULL,
    is_over      boolean NOT NULL,
    made_at      timestamptz NOT NULL, -- of the newest event about it
    opened_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (provider, dispute_id)
);
CREATE INDEX payment_disputes_of_deposit ON payment_disputes (deposit_id);

-- An account whose currency a deposit has set: from then on deposits alone change it (M41), and no file does.
ALTER TABLE accounts ADD COLUMN currency_deposited_at timestamptz;

REVOKE INSERT, UPDATE, DELETE ON terms FROM sluice_services;
GRANT INSERT ON terms TO sluice_services;
REVOKE UPDATE, DELETE ON cards, deposits, payment_events, payment_disputes FROM sluice_services;
GRANT UPDATE (validated_at) ON cards TO sluice_services;
GRANT UPDATE (state, reason, method, terms_version, terms_accepted_at, terms_accepted_by, provider, session_id, checkout_url,
    payment_id, card_id, held_micro, decision, credited_micro, transfer_id, confirmed_at, method_chosen_at, ordered_at,
    pending_at, validate_by, ended_at, look_at, look_count) ON deposits TO sluice_services;
GRANT UPDATE (status, is_over, made_at) ON payment_disputes TO sluice_services;
