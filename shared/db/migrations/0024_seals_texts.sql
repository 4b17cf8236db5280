-- contract: serves code from 22
-- A dispatcher of the release before cannot open what is sealed, and dies of an empty text: so nothing is sealed, and
-- what must not be kept is refused for a while, as long as such a dispatcher lives.

UPDATE platform SET seals_texts = true;
UPDATE configuration_version SET version = version + 1 WHERE EXISTS (SELECT FROM accounts);
