-- Apps that make codes, one for each account that has one (TOTP, RFC 6238).
-- Neither the secret of the app nor recovery codes are here: they are made of the id and a key of the server, so that a
-- copy of this file opens nothing.
CREATE TABLE second_factors (
    user_id        TEXT   NOT NULL PRIMARY KEY,
    id             TEXT   NOT NULL,
    confirmed_at   BIGINT,                      -- NULL: shown to its owner, who has not typed a code of it yet
    last_step      BIGINT NOT NULL,             -- of the newest code that was used: none works twice
    recovery_round BIGINT NOT NULL,             -- counts the sets of recovery codes
    recovery_used  BIGINT NOT NULL,             -- a bit for each code of the set that was used
    created_at     BIGINT NOT NULL,
    CONSTRAINT second_factors_user_exists FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
);
