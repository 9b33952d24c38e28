-- What collections were before and after each change of them.
CREATE TABLE schema_changes (
    version           BIGINT NOT NULL PRIMARY KEY, -- one more than the newest row, which is never removed
    generation        BIGINT NOT NULL,             -- of the catalogue after it: rows with the same one were one change
    collection_id     TEXT   NOT NULL,
    name              TEXT   NOT NULL,             -- after the change; of a dropped collection the last one
    name_before       TEXT,                        -- NULL: there was none before
    kind              TEXT   NOT NULL,             -- created, changed, renamed, dropped
    source            TEXT   NOT NULL,             -- api, import, files
    author            TEXT   NOT NULL,             -- id of an account, `operator` or `server`
    definition_before TEXT,                        -- canonical JSON; NULL: there was none
    definition_after  TEXT,                        -- canonical JSON; NULL: there is none any more
    created_at        BIGINT NOT NULL,             -- milliseconds since 1970, UTC
    total_bytes       BIGINT NOT NULL              -- of all rows up to this one: the room that some of them take is a difference
);
CREATE INDEX schema_changes_by_collection ON schema_changes (name, version);
CREATE INDEX schema_changes_by_old_name ON schema_changes (name_before, version);

-- What the files of collections said when server and files last agreed.
CREATE TABLE schema_files (
    name       TEXT NOT NULL PRIMARY KEY,
    definition TEXT NOT NULL -- canonical JSON
);
