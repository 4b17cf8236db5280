-- contract: serves code from 35
-- A dispatcher or dlr of the release before takes a sealed credential for the credential itself: so carriers' credentials
-- stay in clear as long as such a process lives, and are sealed, by `sluice apply` and by dlr, once this file is applied.

COMMENT ON COLUMN carriers.settings IS 'Credentials in it are sealed under SLUICE_SECRET_KEY.';
