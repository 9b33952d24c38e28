-- What the newest entry of a tenant's audit trail was, day by day, signed. Here, and not beside the trail: whoever has
-- only the tenant's file can neither remove what was noted nor note something else.
CREATE TABLE audit_checkpoints (
    tenant_id  TEXT   NOT NULL,
    seq        BIGINT NOT NULL,
    hash       BYTEA  NOT NULL,
    created_at BIGINT NOT NULL, -- milliseconds since 1970, UTC
    signature  BYTEA  NOT NULL, -- Ed25519
    CONSTRAINT audit_checkpoints_seq_unique UNIQUE (tenant_id, seq)
);
