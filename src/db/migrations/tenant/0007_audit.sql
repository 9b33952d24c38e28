-- Who did what: one row for each deed, each with the hash of the one before, so that no row can be changed, removed
-- or put between others without that being found.
CREATE TABLE audit_entries (
    seq           BIGINT NOT NULL PRIMARY KEY, -- one more than the newest row, which is never removed
    created_at    BIGINT NOT NULL,             -- milliseconds since 1970, UTC
    actor_kind    TEXT   NOT NULL,             -- user, key, operator, server, stranger
    actor_id      TEXT,                        -- NULL: there is none
    actor_email   TEXT,                        -- the address that the account had then
    action        TEXT   NOT NULL,
    resource_kind TEXT,                        -- NULL: it is about nothing in particular
    resource_id   TEXT,
    value_before  TEXT,                        -- the members that were changed, as they were, JSON
    value_after   TEXT,                        -- and as they are
    address       TEXT,                        -- of the client; NULL: at the operator's socket, or by the server itself
    user_agent    TEXT,
    request_id    TEXT,
    outcome       TEXT   NOT NULL,             -- done, refused
    reason        TEXT,                        -- the code of the problem; NULL: it was done
    total_bytes   BIGINT NOT NULL,             -- of all rows up to this one: the room that some of them take is a difference
    previous_hash BYTEA  NOT NULL,             -- of the row before; zeros for the first
    hash          BYTEA  NOT NULL              -- SHA-256 of all that stands before it here
);
CREATE INDEX audit_entries_by_actor ON audit_entries (actor_id, seq) WHERE actor_id IS NOT NULL;
CREATE INDEX audit_entries_by_resource ON audit_entries (resource_kind, resource_id, seq) WHERE resource_kind IS NOT NULL;

-- One row at most: the newest of the rows that were removed for their age or their room. What is signed was removed by
-- the server; whoever has only this file cannot make another.
CREATE TABLE audit_anchor (
    id         BIGINT NOT NULL PRIMARY KEY, -- always 1
    seq        BIGINT NOT NULL,
    hash       BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,
    signature  BYTEA  NOT NULL              -- Ed25519
);
