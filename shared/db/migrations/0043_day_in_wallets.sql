-- expand
-- What an account sends in this quarter of an hour is counted in the wallet that pays for it, which is locked and written
-- anyway; quarters that are over stay in `daily_usage`.

-- The limit of a day beside the money it limits: NULL in a wallet that is not its account's active one.
ALTER TABLE wallets ADD COLUMN daily_limit integer;
ALTER TABLE wallets ADD COLUMN usage_slot bigint NOT NULL DEFAULT 0; -- quarters of an hour since 1970
ALTER TABLE wallets ADD COLUMN slot_segment_count integer NOT NULL DEFAULT 0; -- accepted in it, and not in `daily_usage`
-- Of the account in `daily_usage`, from a day before `usage_slot` on. NULL: must be asked.
ALTER TABLE wallets ADD COLUMN day_segment_count bigint;

CREATE FUNCTION limit_new_wallet() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    SELECT a.daily_limit INTO NEW.daily_limit FROM accounts a
    WHERE a.account_id = NEW.account_id AND a.currency = NEW.currency;
    RETURN NEW;
END $$;
CREATE TRIGGER limit_new_wallet BEFORE INSERT ON wallets
    FOR EACH ROW WHEN (NEW.account_id IS NOT NULL) EXECUTE FUNCTION limit_new_wallet();

-- A wallet that is set aside has no quarter of its own any more: the next one must know what it has paid for today.
CREATE FUNCTION limit_wallets() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE wallets w SET daily_limit = CASE WHEN w.currency = NEW.currency THEN NEW.daily_limit END,
        usage_slot = 0, slot_segment_count = 0
    WHERE w.wallet_id IN (
        SELECT wallet_id FROM wallets WHERE account_id = NEW.account_id ORDER BY wallet_id FOR UPDATE);
    RETURN NULL;
END $$;
CREATE TRIGGER limit_wallets AFTER UPDATE ON accounts FOR EACH ROW
    WHEN (OLD.currency <> NEW.currency OR OLD.daily_limit <> NEW.daily_limit) EXECUTE FUNCTION limit_wallets();
-- After the trigger, from which on no change of an account passes unseen.
UPDATE wallets w SET daily_limit = a.daily_limit FROM accounts a
WHERE a.account_id = w.account_id AND a.currency = w.currency;

-- The quarter that is over joins the others; what they come to is exact, for the wallet is locked.
CREATE FUNCTION close_quarter() RETURNS trigger LANGUAGE plpgsql
SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.slot_segment_count > 0 THEN
        INSERT INTO daily_usage AS d (account_id, slot, segment_count)
        VALUES (OLD.account_id, OLD.usage_slot, OLD.slot_segment_count)
        ON CONFLICT (account_id, slot) DO UPDATE SET segment_count = d.segment_count + excluded.segment_count;
    END IF;
    UPDATE wallets SET day_segment_count = (
        SELECT coalesce(sum(segment_count), 0) FROM daily_usage
        WHERE account_id = NEW.account_id AND slot >= NEW.usage_slot - 96)
    WHERE wallet_id = NEW.wallet_id;
    RETURN NULL;
END $$;
CREATE TRIGGER close_quarter AFTER UPDATE ON wallets FOR EACH ROW
    WHEN (OLD.usage_slot <> NEW.usage_slot) EXECUTE FUNCTION close_quarter();
REVOKE EXECUTE ON FUNCTION limit_new_wallet, limit_wallets, close_quarter FROM PUBLIC;

CREATE VIEW usage_by_slot AS
    SELECT account_id, slot, segment_count FROM daily_usage
    UNION ALL
    SELECT account_id, usage_slot, slot_segment_count FROM wallets WHERE slot_segment_count > 0;
GRANT SELECT ON usage_by_slot TO sluice_services;

-- While processes of the release before live, who look for all of it in `daily_usage`, all of it is written there.
ALTER TABLE platform ADD COLUMN day_apart boolean NOT NULL DEFAULT true;
