-- The words of someone's name and address, in small letters and without marks, each after a space: what a search for
-- people looks through. Empty: from before it was kept; the sweep fills it in.
ALTER TABLE users ADD COLUMN words TEXT NOT NULL DEFAULT '';
-- Since when the account is in the bin. NULL: it is not.
ALTER TABLE users ADD COLUMN deleted_at BIGINT;
-- How many requests came on behalf of the account. Written in batches: some seconds behind.
ALTER TABLE users ADD COLUMN usage_count BIGINT NOT NULL DEFAULT 0;
-- With the words in it, a search reads the rows only of those that it finds.
DROP INDEX users_by_creation;
CREATE INDEX users_by_creation ON users (created_at, id, words);
CREATE INDEX users_by_name ON users (name, id);
CREATE INDEX users_by_sign_in ON users (coalesce(last_sign_in_at, -1), id);
DROP INDEX users_by_role;
CREATE INDEX users_by_role ON users (role, created_at, id);
CREATE INDEX users_by_deletion ON users (deleted_at, id) WHERE deleted_at IS NOT NULL;
-- What relations of records lead to: whoever is in the bin is shown by none.
CREATE VIEW live_users AS SELECT id, name, role FROM users WHERE deleted_at IS NULL;

-- What people's apps keep for them, in whatever shape these like.
CREATE TABLE preferences (
    user_id    TEXT   NOT NULL PRIMARY KEY,
    content    TEXT   NOT NULL,                 -- JSON object
    version    BIGINT NOT NULL,                 -- counts changes; the ETag
    updated_at BIGINT NOT NULL,
    CONSTRAINT preferences_user_exists FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);

-- The values of the fields that an admin gave to profiles. What fields there are is a row of the settings.
CREATE TABLE profile_values (
    user_id TEXT NOT NULL PRIMARY KEY,
    content TEXT NOT NULL,                      -- JSON object: values other than null by the names of their fields
    CONSTRAINT profile_values_user_exists FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
