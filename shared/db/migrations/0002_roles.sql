-- expand
-- What services and commands may do, and no more: they work in the role `sluice_services`, and whoever owns
-- the schema migrates it. Books are written and never rewritten; rows that stay are never deleted.
-- Roles belong to the whole server, so it may be here already, or come at the same moment from another database.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sluice_services') THEN
        CREATE ROLE sluice_services NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN
        NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION USING
            ERRCODE = 'insufficient_privilege',
            MESSAGE = format('%s may not create roles: have an administrator run', current_user)
                      || ' CREATE ROLE sluice_services NOLOGIN';
END $$;

GRANT USAGE ON SCHEMA public TO sluice_services;

GRANT SELECT ON schema_migrations TO sluice_services;
GRANT SELECT, INSERT ON transfers, events TO sluice_services;
GRANT SELECT, UPDATE ON configuration_version, limiter_epoch TO sluice_services;
GRANT SELECT, INSERT, UPDATE ON
    accounts, lines, prices, carriers, country_limits,
    wallets, daily_usage, messages, segments, receipts, event_heads TO sluice_services;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    tokens, routes, work, parked_lines, idempotency_keys, limit_usage, workers TO sluice_services;

-- Tables of later migrations. One whose rows are never to be changed takes back what it must, in its own file:
-- REVOKE UPDATE, DELETE ON deposits FROM sluice_services.
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO sluice_services;
ALTER DEFAULT PRIVILEGES IN SCHEMA public
    GRANT USAGE ON SEQUENCES TO sluice_services;
