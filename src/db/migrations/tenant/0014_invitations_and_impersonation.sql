-- Accounts that somebody is to make for themselves: with a link that is sent to the address and works once.
-- The secret of the link is not here: it is made of the id and a key of the server.
CREATE TABLE invitations (
    id          TEXT   NOT NULL PRIMARY KEY,
    email       TEXT   NOT NULL,              -- normalized
    name        TEXT   NOT NULL,              -- may be empty
    role        TEXT   NOT NULL,
    tier        TEXT,
    message     TEXT   NOT NULL,              -- from whoever invited; may be empty
    invited_by  TEXT   NOT NULL,              -- id of an account, `operator`, or `key:` and the id of a key
    created_at  BIGINT NOT NULL,              -- milliseconds since 1970, UTC
    sent_at     BIGINT NOT NULL,              -- when the mail was last promised
    expires_at  BIGINT NOT NULL,
    accepted_at BIGINT,                       -- NULL: not yet
    user_id     TEXT,                         -- the account that came of it
    CONSTRAINT invitations_user_exists FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
CREATE INDEX invitations_by_email ON invitations (email);
CREATE INDEX invitations_by_user ON invitations (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX invitations_by_expiry ON invitations (expires_at);

-- A session in which somebody else acts as its owner: the session of whoever acts. It ends with that.
ALTER TABLE sessions ADD COLUMN actor_session_id TEXT REFERENCES sessions (id) ON DELETE CASCADE;
CREATE INDEX sessions_by_actor ON sessions (actor_session_id) WHERE actor_session_id IS NOT NULL;
