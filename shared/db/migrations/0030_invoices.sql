-- expand
-- Invoices: one for each deposit that was credited, numbered without gaps within a legal entity and a year.

CREATE TABLE legal_entities ( -- who sells; what an invoice said of it stays in the invoice
    code         text PRIMARY KEY CHECK (code ~ '^[A-Z0-9]{1,8}$'), -- its invoices' numbers begin with it
    name         text NOT NULL,
    address      text[] NOT NULL,
    country      text NOT NULL,
    vat_id       text,
    registration text, -- where it is registered, and as what
    email        text,
    time_zone    text NOT NULL DEFAULT 'UTC', -- by which an invoice has its day and its year
    is_current   boolean NOT NULL
);
CREATE UNIQUE INDEX legal_entities_one_current ON legal_entities ((true)) WHERE is_current;

-- What is charged to whom: `country` '*' is any that is not named.
CREATE TABLE vat_rates (
    legal_entity text NOT NULL REFERENCES legal_entities,
    treatment    text NOT NULL CHECK (treatment IN ('domestic', 'eu_business', 'eu_consumer', 'abroad')),
    country      text NOT NULL DEFAULT '*',
    basis_points integer NOT NULL CHECK (basis_points BETWEEN 0 AND 10000), -- hundredths of a percent
    note_en      text NOT NULL DEFAULT '', -- what the law wants to be said on the invoice
    note_de      text NOT NULL DEFAULT '',
    PRIMARY KEY (legal_entity, treatment, country)
);

CREATE TABLE billing_details ( -- to whom an account's invoices are made out; none: to its name
    account_id integer PRIMARY KEY REFERENCES accounts,
    name       text NOT NULL,
    address    text[] NOT NULL,
    country    text NOT NULL,
    vat_id     text,
    language   text NOT NULL DEFAULT 'en' CHECK (language IN ('de', 'en')),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- The last number that was given away. Taken in the transaction that credits, so that one which is rolled back leaves no
-- gap; who comes next waits for it at the legal entity's row.
CREATE TABLE invoice_numbers (
    legal_entity   text NOT NULL REFERENCES legal_entities,
    year           smallint NOT NULL,
    last_number    integer NOT NULL CHECK (last_number > 0),
    last_issued_at timestamptz NOT NULL,
    PRIMARY KEY (legal_entity, year)
);

CREATE TABLE invoices (
    invoice_id       uuid PRIMARY KEY, -- version 7: ordered by time
    deposit_id       uuid NOT NULL UNIQUE,
    account_id       integer NOT NULL REFERENCES accounts,
    legal_entity     text NOT NULL REFERENCES legal_entities,
    year             smallint NOT NULL,
    number           integer NOT NULL CHECK (number > 0),
    issued_at        timestamptz NOT NULL,
    issued_on        date NOT NULL, -- by the clock of the legal entity
    currency         text NOT NULL CHECK (currency IN ('EUR', 'GBP', 'USD')),
    gross_micro      bigint NOT NULL CHECK (gross_micro > 0), -- what was paid
    net_micro        bigint NOT NULL,
    vat_micro        bigint NOT NULL CHECK (vat_micro >= 0),
    vat_basis_points integer NOT NULL,
    vat_treatment    text NOT NULL,
    parties          jsonb NOT NULL, -- seller, buyer and notes, as they were on that day
    CHECK (gross_micro = net_micro + vat_micro),
    UNIQUE (legal_entity, year, number)
);
CREATE INDEX invoices_of_account ON invoices (account_id, invoice_id);
CREATE TRIGGER invoices_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON invoices
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Made once for each language, and from then on shown as it was made.
CREATE TABLE invoice_documents (
    invoice_id uuid NOT NULL REFERENCES invoices,
    language   text NOT NULL CHECK (language IN ('de', 'en')),
    pdf        bytea NOT NULL,
    sha256     bytea NOT NULL CHECK (sha256 = sha256(pdf)),
    made_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (invoice_id, language)
);
CREATE TRIGGER invoice_documents_are_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON invoice_documents
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

REVOKE UPDATE, DELETE ON invoices, invoice_documents FROM sluice_services;
REVOKE DELETE ON invoice_numbers, legal_entities FROM sluice_services;
