-- How often someone's password was replaced: the tokens of known devices say what it was, and are worth nothing once it
-- is another.
ALTER TABLE users ADD COLUMN device_generation BIGINT NOT NULL DEFAULT 0;

-- The device on which the password was chosen last: it stays known, whatever its token says. NULL: none does.
ALTER TABLE users ADD COLUMN kept_device TEXT;

-- The device that someone signed in on. NULL: from before devices were known.
ALTER TABLE sessions ADD COLUMN device_id TEXT;
