-- Work that was promised in a transaction and is done after it, however often the server stops in between.
CREATE TABLE jobs (
    id             TEXT   NOT NULL PRIMARY KEY,
    kind           TEXT   NOT NULL,
    payload        TEXT   NOT NULL,             -- JSON: what it is about, by ids; never a secret
    state          TEXT   NOT NULL,             -- waiting, running, done, failed, cancelled
    attempts       BIGINT NOT NULL,             -- that were begun
    due_at         BIGINT NOT NULL,             -- not before this; milliseconds since 1970, UTC
    progress       BIGINT,                      -- per thousand; NULL: it does not say
    error          TEXT,                        -- why the last attempt failed
    created_at     BIGINT NOT NULL,
    started_at     BIGINT,                      -- of the last attempt
    finished_at    BIGINT                       -- NULL: not yet
);
-- Few: whatever is neither waiting nor running is not in it.
CREATE INDEX jobs_by_turn ON jobs (kind, due_at, id) WHERE state = 'waiting';
CREATE INDEX jobs_running ON jobs (kind, id) WHERE state = 'running';
CREATE INDEX jobs_by_end ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- Mails of a server that knows no SMTP server: an admin reads them here.
CREATE TABLE mailbox (
    id         TEXT   NOT NULL PRIMARY KEY,
    template   TEXT   NOT NULL,
    to_address TEXT   NOT NULL,
    subject    TEXT   NOT NULL,
    text_body  TEXT   NOT NULL,
    html_body  TEXT   NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX mailbox_by_address ON mailbox (to_address, id);

-- Mails whose words an admin changed. Those of others are in the binary.
CREATE TABLE mail_templates (
    name       TEXT   NOT NULL PRIMARY KEY,
    subject    TEXT   NOT NULL,
    text_body  TEXT   NOT NULL,
    html_body  TEXT   NOT NULL,
    version    BIGINT NOT NULL,                 -- counts changes; the ETag
    updated_at BIGINT NOT NULL
);

-- What an operator sets while the server runs, a row for each group of settings.
CREATE TABLE settings (
    name       TEXT   NOT NULL PRIMARY KEY,
    content    TEXT   NOT NULL,                 -- JSON
    version    BIGINT NOT NULL,                 -- counts changes; the ETag
    updated_at BIGINT NOT NULL
);

-- Secrets that work once and for a short time: links and codes that are sent by mail.
-- The secret is not here: it is made of the id and a key of the server, so that a copy of this file opens nothing.
CREATE TABLE one_time_secrets (
    id         TEXT   NOT NULL PRIMARY KEY,
    user_id    TEXT   NOT NULL,
    purpose    TEXT   NOT NULL,                 -- verify-email, reset-password, sign-in, change-email
    email      TEXT   NOT NULL,                 -- that it was sent to, and is shown to be theirs by using it
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    CONSTRAINT one_time_secrets_user_exists FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX one_time_secrets_by_user ON one_time_secrets (user_id, purpose);
CREATE INDEX one_time_secrets_by_expiry ON one_time_secrets (expires_at);

-- Whether someone registered who still has to show that the address is theirs before they can sign in: 0 or 1.
ALTER TABLE users ADD COLUMN is_pending BIGINT NOT NULL DEFAULT 0;

-- What someone signed in with, as they find it in the list of their sessions. NULL: from before this was kept.
ALTER TABLE sessions ADD COLUMN client TEXT;
ALTER TABLE sessions ADD COLUMN address TEXT;

-- The programs that someone signed in with before: another one is told to them by mail.
CREATE TABLE known_clients (
    user_id      TEXT   NOT NULL,
    client       TEXT   NOT NULL,
    last_used_at BIGINT NOT NULL,
    CONSTRAINT known_clients_unique PRIMARY KEY (user_id, client),
    CONSTRAINT known_clients_user_exists FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
