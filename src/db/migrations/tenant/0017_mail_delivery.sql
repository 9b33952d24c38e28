-- Addresses to which no mails are sent any more.
CREATE TABLE mail_suppressions (
    id         TEXT   NOT NULL PRIMARY KEY,
    address    TEXT   NOT NULL,                 -- in small letters, as accounts have theirs
    reason     TEXT   NOT NULL,                 -- bounce, complaint, manual
    detail     TEXT   NOT NULL,                 -- what a mail server, a report or an admin said; may be empty
    created_at BIGINT NOT NULL,
    CONSTRAINT mail_suppressions_address_unique UNIQUE (address)
);
-- Those that make room for others.
CREATE INDEX mail_suppressions_bounces ON mail_suppressions (id) WHERE reason = 'bounce';

-- How many mails were sent to an address within a day.
CREATE TABLE mail_counts (
    address TEXT   NOT NULL,
    day     BIGINT NOT NULL,                    -- days since 1970, UTC
    count   BIGINT NOT NULL,
    CONSTRAINT mail_counts_unique PRIMARY KEY (address, day)
);
CREATE INDEX mail_counts_by_day ON mail_counts (day);

-- What became of a job that is done, if that word does not say it all; NULL: it does.
ALTER TABLE jobs ADD COLUMN note TEXT;

-- The words of mails that an admin changed, for all or for those who read a language: it takes the place of
-- mail_templates, whose rows had no language. '': for all others.
CREATE TABLE mail_words (
    name       TEXT   NOT NULL,
    locale     TEXT   NOT NULL,                 -- a language tag (RFC 5646) in its usual form, such as de-AT
    subject    TEXT   NOT NULL,
    text_body  TEXT   NOT NULL,
    html_body  TEXT   NOT NULL,
    version    BIGINT NOT NULL,                 -- counts changes; the ETag
    updated_at BIGINT NOT NULL,
    CONSTRAINT mail_words_unique PRIMARY KEY (name, locale)
);
INSERT INTO mail_words (name, locale, subject, text_body, html_body, version, updated_at)
    SELECT name, '', subject, text_body, html_body, version, updated_at FROM mail_templates;
DROP TABLE mail_templates;
