-- contract: serves code from 6
-- A dispatcher of the release before cuts every message for 8 bit references. One that was priced for 16 may have a
-- part more, which that dispatcher would claim and never send: so none is, while such a dispatcher lives.

UPDATE platform SET long_references = true;
UPDATE configuration_version SET version = version + 1 WHERE EXISTS (SELECT FROM carriers);
