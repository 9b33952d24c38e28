-- What kinds of records there are. The records of each are in a table of their own, `c_<name>`.
CREATE TABLE collections (
    id         TEXT   NOT NULL PRIMARY KEY,
    name       TEXT   NOT NULL,
    name_key   TEXT   NOT NULL,           -- the name in small letters: names differ by more than their case
    definition TEXT   NOT NULL,           -- fields, indexes and rules, JSON
    version    BIGINT NOT NULL,           -- counts changes; the ETag
    created_at BIGINT NOT NULL,           -- milliseconds since 1970, UTC
    updated_at BIGINT NOT NULL,
    CONSTRAINT collections_name_unique UNIQUE (name_key)
);

-- One row. It counts the changes of all collections, so that a request notices that what it knows is old.
CREATE TABLE catalogue (
    id         BIGINT NOT NULL PRIMARY KEY, -- always 1
    generation BIGINT NOT NULL
);
INSERT INTO catalogue (id, generation) VALUES (1, 0);

-- How many records each collection has. Triggers keep it: counting a large table takes long.
CREATE TABLE record_counts (
    collection_id TEXT   NOT NULL PRIMARY KEY,
    count         BIGINT NOT NULL,
    CONSTRAINT record_counts_collection_exists FOREIGN KEY (collection_id) REFERENCES collections (id) ON DELETE CASCADE
);
