-- Keys that sign access tokens, one after another. Whoever reads this file can sign in as anyone: it is readable by its
-- owner only.
CREATE TABLE signing_keys (
    kid            TEXT   NOT NULL PRIMARY KEY, -- thumbprint of the public half (RFC 7638)
    secret         BYTEA  NOT NULL,             -- seed (Ed25519)
    state          TEXT   NOT NULL,             -- next, current, retired
    signed_unnamed BIGINT NOT NULL,             -- 1: it signed before tokens named their key
    created_at     BIGINT NOT NULL,             -- milliseconds since 1970, UTC
    signs_since    BIGINT,                      -- NULL: not yet
    retired_at     BIGINT,                      -- NULL: not retired
    verifies_until BIGINT                       -- of a retired one: when the last token that it signed has expired
);
CREATE UNIQUE INDEX signing_keys_one_of_each ON signing_keys (state) WHERE state <> 'retired';
