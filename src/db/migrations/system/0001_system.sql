-- What belongs to the server and not to any tenant's data.
CREATE TABLE tenants (
    id         TEXT   NOT NULL PRIMARY KEY,   -- also the name of its folder
    created_at BIGINT NOT NULL                -- milliseconds since 1970, UTC
);

-- Keys made at the first start. They sign access tokens, refresh tokens and cursors,
-- so whoever reads this file can sign in as anyone: it is readable by its owner only.
CREATE TABLE server_keys (
    purpose    TEXT   NOT NULL,               -- access-token, refresh-token, cursor
    secret     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    CONSTRAINT server_keys_purpose_unique UNIQUE (purpose)
);
