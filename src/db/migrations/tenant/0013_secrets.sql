-- Secrets that people give to this server, such as the key of another service. Each is closed with a key of its own, and
-- that with a master key, which is not here: a copy of this file opens none of them.
CREATE TABLE user_secrets (
    user_id      TEXT   NOT NULL,
    name         TEXT   NOT NULL,
    description  TEXT   NOT NULL,             -- for its owner; may be empty
    hint         TEXT   NOT NULL,             -- its last characters; may be empty
    key_id       TEXT   NOT NULL,             -- of the master key that closes it
    wrapped_key  BYTEA  NOT NULL,             -- 16 random bytes, a nonce, the closed key of the secret
    sealed_value BYTEA  NOT NULL,             -- a nonce, the closed secret
    created_at   BIGINT NOT NULL,             -- milliseconds since 1970, UTC
    updated_at   BIGINT NOT NULL,
    last_used_at BIGINT,                      -- NULL: never
    CONSTRAINT user_secrets_unique PRIMARY KEY (user_id, name),
    CONSTRAINT user_secrets_user_exists FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX user_secrets_by_key ON user_secrets (key_id);

-- Which master keys close secrets, and which one closes what is kept from now on. Not the keys themselves.
CREATE TABLE secret_keys (
    id         TEXT   NOT NULL PRIMARY KEY,   -- made of the key
    keeper     TEXT   NOT NULL,               -- server, operator
    created_at BIGINT NOT NULL,
    retired_at BIGINT                         -- NULL for one of them: the current one
);
