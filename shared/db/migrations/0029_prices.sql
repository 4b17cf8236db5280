-- expand
-- Prices that begin and end, requests to support, and what accounts spend: kept as it happens, capped where that is wanted.

ALTER TABLE prices ADD COLUMN until_at timestamptz; -- NULL: without an end
ALTER TABLE special_prices ADD COLUMN until_at timestamptz;

-- Prices from a time on. Of those whose time it is, the one that began last is in force, before those that always were.
CREATE TABLE dated_prices (
    country      text NOT NULL,
    currency     text NOT NULL CHECK (currency IN ('EUR', 'GBP', 'USD')),
    kind         text NOT NULL CHECK (kind IN ('usual', 'special')),
    from_at      timestamptz NOT NULL,
    until_at     timestamptz CHECK (until_at > from_at),
    amount_micro bigint NOT NULL CHECK (amount_micro > 0),
    PRIMARY KEY (country, currency, kind, from_at)
);

CREATE TABLE support_requests (
    support_request_id uuid PRIMARY KEY, -- version 7: ordered by time
    account_id         integer NOT NULL REFERENCES accounts,
    topic              text NOT NULL CHECK (topic IN ('country', 'other')),
    country            text CHECK ((topic = 'country') = (country IS NOT NULL)),
    words              text NOT NULL, -- the producer's
    created_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    closed_at          timestamptz,
    answer             text CHECK ((closed_at IS NULL) = (answer IS NULL)) -- the operator's words
);
CREATE UNIQUE INDEX support_requests_one_a_country ON support_requests (account_id, country)
    WHERE closed_at IS NULL AND country IS NOT NULL;
CREATE INDEX support_requests_of_account ON support_requests (account_id, support_request_id);
CREATE INDEX support_requests_open ON support_requests (support_request_id) WHERE closed_at IS NULL;
CREATE INDEX support_requests_closed ON support_requests (closed_at) WHERE closed_at IS NOT NULL;

-- What was accepted, per wallet, country and quarter of an hour: written under the wallet's lock by whoever debits it, so
-- that it is exact for whoever holds that lock. Refunds take nothing away from it: a cap is of what was debited.
CREATE TABLE spending (
    wallet_id     integer NOT NULL,
    country       text NOT NULL, -- '*': all of them
    slot          bigint NOT NULL, -- quarters of an hour since 1970
    segment_count bigint NOT NULL,
    amount_micro  bigint NOT NULL,
    PRIMARY KEY (wallet_id, country, slot)
);

CREATE TABLE spending_caps (
    account_id  integer NOT NULL REFERENCES accounts,
    country     text NOT NULL, -- '*': whatever it is spent on
    owner       text NOT NULL CHECK (owner IN ('account', 'operator')), -- who alone may raise it
    hour_micro  bigint CHECK (hour_micro >= 0), -- of the wallet's currency; NULL: this window has no cap
    day_micro   bigint CHECK (day_micro >= 0),
    month_micro bigint CHECK (month_micro >= 0),
    PRIMARY KEY (account_id, country, owner)
);

-- Who is watched for a sudden rise to one country, against what the account itself has sent there before.
CREATE TABLE velocity_guards (
    account_id  integer PRIMARY KEY REFERENCES accounts,
    floor_count integer NOT NULL CHECK (floor_count > 0), -- segments an hour to a country that always pass
    factor      smallint NOT NULL CHECK (factor BETWEEN 1 AND 100) -- how many times its busiest hour
);

CREATE TABLE velocity_lifts ( -- the operator has looked: let pass to this country until then
    account_id integer NOT NULL REFERENCES accounts,
    country    text NOT NULL,
    until_at   timestamptz NOT NULL,
    reason     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (account_id, country)
);

-- Kept true by the database, so that whoever debits a wallet need not ask two tables about one that nobody watches.
ALTER TABLE wallets ADD COLUMN spending_watched boolean NOT NULL DEFAULT false;

CREATE FUNCTION is_spending_watched(asked_id integer) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM spending_caps WHERE account_id = asked_id)
        OR EXISTS (SELECT FROM velocity_guards WHERE account_id = asked_id)
$$;
CREATE FUNCTION note_spending_watched() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed_id integer := CASE WHEN TG_OP = 'DELETE' THEN OLD.account_id ELSE NEW.account_id END;
BEGIN
    UPDATE wallets SET spending_watched = is_spending_watched(changed_id) WHERE wallet_id IN (
        SELECT wallet_id FROM wallets WHERE account_id = changed_id ORDER BY wallet_id FOR UPDATE);
    RETURN NULL;
END $$;
CREATE TRIGGER caps_are_noted AFTER INSERT OR DELETE ON spending_caps
    FOR EACH ROW EXECUTE FUNCTION note_spending_watched();
CREATE TRIGGER guards_are_noted AFTER INSERT OR DELETE ON velocity_guards
    FOR EACH ROW EXECUTE FUNCTION note_spending_watched();

CREATE FUNCTION watch_new_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.spending_watched := is_spending_watched(NEW.account_id);
    RETURN NEW;
END $$;
CREATE TRIGGER new_wallets_are_watched BEFORE INSERT ON wallets
    FOR EACH ROW WHEN (NEW.account_id IS NOT NULL) EXECUTE FUNCTION watch_new_wallet();

-- What a producer has said is not rewritten.
REVOKE UPDATE ON support_requests FROM sluice_services;
GRANT UPDATE (closed_at, answer) ON support_requests TO sluice_services;
