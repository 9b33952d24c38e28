-- What closes the secrets of people, unless the operator has such keys elsewhere. Whoever has this file and that of the
-- tenant can open them: it is readable by its owner only, and apart from the other.
CREATE TABLE master_keys (
    tenant_id  TEXT   NOT NULL,
    id         TEXT   NOT NULL,               -- made of the key
    secret     BYTEA  NOT NULL,
    created_at BIGINT NOT NULL,               -- milliseconds since 1970, UTC
    CONSTRAINT master_keys_unique PRIMARY KEY (tenant_id, id)
);
