-- expand
-- Premium-rate and other special numbers: for accounts that are allowed them, each country at a price of its
-- own. In a table of its own, so that a process of the release before finds every country's usual price alone.

ALTER TABLE accounts ADD COLUMN special_numbers boolean NOT NULL DEFAULT false;

CREATE TABLE special_prices (
    country      text NOT NULL,
    currency     text NOT NULL CHECK (currency IN ('EUR', 'GBP', 'USD')),
    amount_micro bigint NOT NULL CHECK (amount_micro > 0),
    PRIMARY KEY (country, currency)
);
GRANT SELECT, INSERT, UPDATE ON special_prices TO sluice_services;
