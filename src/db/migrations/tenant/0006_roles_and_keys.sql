-- What people may try, under a name that accounts refer to.
CREATE TABLE roles (
    name        TEXT   NOT NULL PRIMARY KEY,
    description TEXT   NOT NULL,               -- for people; may be empty
    permissions TEXT   NOT NULL,               -- JSON list: `records:read`, `records/posts:write`; `*` is everything
    built_in    BIGINT NOT NULL,               -- 0 or 1; one that is cannot be dropped
    version     BIGINT NOT NULL,               -- counts changes; the ETag
    created_at  BIGINT NOT NULL,               -- milliseconds since 1970, UTC
    updated_at  BIGINT NOT NULL
);
-- They are as old as the database.
INSERT INTO roles (name, description, permissions, built_in, version, created_at, updated_at)
SELECT name, description, permissions, 1, 1, made.at, made.at
FROM (SELECT 'admin' AS name, 'Everything.' AS description, '["*"]' AS permissions
      UNION ALL
      SELECT 'moderator', 'Reading and writing what the rules let through, and looking up accounts.',
             '["records:read","records:write","users:read"]'
      UNION ALL
      SELECT 'user', 'Reading and writing what the rules let through.', '["records:read","records:write"]'
      UNION ALL
      SELECT 'readonly', 'Reading what the rules let through.', '["records:read"]') AS seeds
CROSS JOIN (SELECT coalesce(min(applied_at), 0) AS at FROM migrations) AS made;

-- Rules and limits may ask for it.
ALTER TABLE users ADD COLUMN tier TEXT;
-- NULL: the account works.
ALTER TABLE users ADD COLUMN disabled_at BIGINT;
CREATE INDEX users_by_role ON users (role);

-- What lets programs call the API without a person signing in.
-- Only digests are stored: a copy of this file must not open the server.
CREATE TABLE api_keys (
    id                TEXT   NOT NULL PRIMARY KEY,
    name              TEXT   NOT NULL,
    description       TEXT   NOT NULL,         -- may be empty
    hint              TEXT   NOT NULL,         -- the first and last characters of the secret, shown to people
    secret_digest     TEXT   NOT NULL,         -- SHA-256, hex
    old_digest        TEXT,                    -- of the secret before, after a rotation
    old_expires_at    BIGINT,                  -- until when that works
    owner_id          TEXT,                    -- NULL: the key of the server, not of a person
    created_by        TEXT   NOT NULL,         -- id of an account, or `operator`
    scopes            TEXT   NOT NULL,         -- JSON list of permissions
    allowed_ips       TEXT   NOT NULL,         -- JSON list of networks; empty: from anywhere
    tier              TEXT,
    limit_count       BIGINT,                  -- NULL: no limit of its own
    limit_window_secs BIGINT,
    metadata          TEXT   NOT NULL,         -- JSON object
    disabled_at       BIGINT,                  -- NULL: it is enabled
    revoked_at        BIGINT,                  -- NULL: it was not revoked
    expires_at        BIGINT,                  -- NULL: never
    rotated_at        BIGINT,
    last_used_at      BIGINT,                  -- written in batches: some seconds behind
    version           BIGINT NOT NULL,         -- counts changes; the ETag
    created_at        BIGINT NOT NULL,
    updated_at        BIGINT NOT NULL,
    CONSTRAINT api_keys_digest_unique UNIQUE (secret_digest),
    CONSTRAINT api_keys_old_digest_unique UNIQUE (old_digest),
    CONSTRAINT api_keys_owner_exists FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX api_keys_by_owner ON api_keys (owner_id, created_at, id);
CREATE INDEX api_keys_by_creation ON api_keys (created_at, id);

-- How often each key called each operation, by day.
CREATE TABLE api_key_usage (
    key_id    TEXT   NOT NULL,
    day       BIGINT NOT NULL,                 -- days since 1970, UTC
    operation TEXT   NOT NULL,                 -- its id, as the OpenAPI document has it
    calls     BIGINT NOT NULL,
    refused   BIGINT NOT NULL,                 -- of these, those that were answered with 4xx
    CONSTRAINT api_key_usage_key_exists FOREIGN KEY (key_id) REFERENCES api_keys (id) ON DELETE CASCADE,
    CONSTRAINT api_key_usage_unique UNIQUE (key_id, day, operation)
);
CREATE INDEX api_key_usage_by_day ON api_key_usage (day);
