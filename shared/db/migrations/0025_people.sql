-- expand
-- Tokens have scopes. Those of before may do what they could: everything. One of fewer scopes is stored under a hash
-- that a process of the release before, which knows no scopes, does not look for: it answers 401.

ALTER TABLE tokens
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{read,send,admin}'
        CHECK (scopes <@ '{read,send,admin}' AND cardinality(scopes) > 0);
ALTER TABLE ended_tokens ADD COLUMN scopes text[] NOT NULL DEFAULT '{read,send,admin}';
