-- What was changed while its file was not written yet. Noted in the transaction of the change itself, so that a server
-- which ends between the two knows at its next start which files it still owes.
CREATE TABLE schema_files_behind (
    name       TEXT   NOT NULL PRIMARY KEY, -- of a collection, or of one that was called so
    generation BIGINT NOT NULL              -- of the newest change that the file may not say
);
