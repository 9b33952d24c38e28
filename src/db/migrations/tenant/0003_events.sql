-- What happened to records, in one order. Live updates read it, and can go on from any of its rows.
CREATE TABLE events (
    seq           BIGINT NOT NULL PRIMARY KEY, -- one more than the newest row, which is never removed
    kind          TEXT   NOT NULL,             -- created, updated, deleted, imported, restructured, account
    collection_id TEXT   NOT NULL,
    record_id     TEXT,                        -- NULL: about the collection, not one record
    version       BIGINT NOT NULL,             -- that the record has now; 0 if it is about none
    row_after     TEXT,                        -- its columns, JSON; NULL: it is gone, or too large to be kept here
    row_before    TEXT,                        -- the columns that were changed, as they were; all of one that is gone
    created_at    BIGINT NOT NULL,             -- milliseconds since 1970, UTC
    total_bytes   BIGINT NOT NULL              -- of all rows up to this one: the room that some of them take is a difference
);
-- Few: whoever reads on must know whether a collection was changed in between.
CREATE INDEX events_by_restructuring ON events (seq) WHERE kind = 'restructured';

-- One row. Ids of events begin with it, so that one from before a restore is not taken for one from after it.
CREATE TABLE event_epoch (
    id    BIGINT NOT NULL PRIMARY KEY, -- always 1
    epoch TEXT   NOT NULL
);
