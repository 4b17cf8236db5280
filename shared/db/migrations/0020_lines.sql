-- expand
-- What rules ask of accounts and lines: what a line can do, whom it serves, what it is registered for, and what an
-- account may do. Accounts of before go on as they were; what is stricter is for those that come.

ALTER TABLE accounts
    ADD COLUMN plan text NOT NULL DEFAULT 'professional',
    ADD COLUMN store_body boolean NOT NULL DEFAULT true,
    ADD COLUMN international boolean NOT NULL DEFAULT true, -- may send abroad from numbers
    ADD COLUMN consent text NOT NULL DEFAULT 'own' CHECK (consent IN ('own', 'north_america', 'required')),
    ADD COLUMN registration_enforced boolean NOT NULL DEFAULT false;
ALTER TABLE accounts
    ALTER international SET DEFAULT false,
    ALTER consent SET DEFAULT 'north_america',
    ALTER registration_enforced SET DEFAULT true;

ALTER TABLE lines
    ADD COLUMN name text CHECK (name <> ''), -- NULL: its sender
    ADD COLUMN capabilities text[] NOT NULL DEFAULT '{sms}' CHECK (capabilities <@ '{sms,mms}'),
    ADD COLUMN mode text NOT NULL DEFAULT 'application' CHECK (mode IN ('application', 'api')),
    ADD COLUMN registration text NOT NULL DEFAULT 'none'
        CHECK (registration IN ('none', 'pending', 'approved', 'rejected', 'suspended')),
    ADD COLUMN brand text CHECK (brand <> ''),
    ADD COLUMN campaign text CHECK (campaign <> ''),
    ADD COLUMN registered_from date, -- the first and the last day, in UTC; NULL: no bound
    ADD COLUMN registered_until date,
    ADD COLUMN use_case text CHECK (use_case <> ''),
    ADD COLUMN purpose text CHECK (purpose IN ('conversation', 'automated', 'marketing')),
    ADD COLUMN time_zone text CHECK (time_zone <> ''), -- NULL: that of its country
    ADD COLUMN second_limit integer CHECK (second_limit >= 0),
    ADD COLUMN created_at timestamptz NOT NULL DEFAULT now(), -- of lines of before: when this was added
    ADD CHECK (registered_from <= registered_until);
