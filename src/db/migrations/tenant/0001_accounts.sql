-- People who can sign in.
CREATE TABLE users (
    id              TEXT   NOT NULL PRIMARY KEY,
    email           TEXT   NOT NULL,          -- normalized: trimmed, small letters
    email_verified  BIGINT NOT NULL,          -- 0 or 1
    name            TEXT   NOT NULL,          -- may be empty
    role            TEXT   NOT NULL,
    password_hash   TEXT   NOT NULL,          -- PHC string: algorithm, cost, salt, hash
    version         BIGINT NOT NULL,          -- counts changes; the ETag
    created_at      BIGINT NOT NULL,          -- milliseconds since 1970, UTC
    updated_at      BIGINT NOT NULL,
    last_sign_in_at BIGINT,                   -- NULL: never
    CONSTRAINT users_email_unique UNIQUE (email)
);
CREATE INDEX users_by_creation ON users (created_at, id);

-- One row for each sign-in on one device, from signing in until signing out.
-- The refresh token is not here: it is made of the id and the counter, and signed.
CREATE TABLE sessions (
    id              TEXT   NOT NULL PRIMARY KEY,
    user_id         TEXT   NOT NULL,
    refresh_counter BIGINT NOT NULL,          -- the only counter that may be refreshed, but for a lost answer
    created_at      BIGINT NOT NULL,
    refreshed_at    BIGINT NOT NULL,
    expires_at      BIGINT NOT NULL,
    CONSTRAINT sessions_user_exists FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Links that let someone make the first admin without signing in.
-- Only a digest is stored: a copy of this file must not open the server.
CREATE TABLE setup_links (
    secret_digest TEXT   NOT NULL PRIMARY KEY, -- SHA-256, hex
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
