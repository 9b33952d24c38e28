-- From which roles a role has permissions, beside its own.
CREATE TABLE role_parents (
    role   TEXT NOT NULL,
    parent TEXT NOT NULL,
    CONSTRAINT role_parents_unique UNIQUE (role, parent),
    CONSTRAINT role_parents_role_exists FOREIGN KEY (role) REFERENCES roles (name) ON DELETE CASCADE,
    CONSTRAINT role_parents_parent_exists FOREIGN KEY (parent) REFERENCES roles (name) ON DELETE RESTRICT
);
CREATE INDEX role_parents_by_parent ON role_parents (parent);

-- What it was given itself; `permissions` is that and what it inherits, so that a request has one place to look.
ALTER TABLE roles ADD COLUMN own_permissions TEXT NOT NULL DEFAULT '[]';
UPDATE roles SET own_permissions = permissions;

-- Limits with a name, beside `limit_count`: a JSON list.
ALTER TABLE api_keys ADD COLUMN rate_limits TEXT NOT NULL DEFAULT '[]';
-- How many calls are left; NULL: they are not counted. Written in batches: some seconds behind.
ALTER TABLE api_keys ADD COLUMN credits_left BIGINT;
-- To what they are filled up, how often (`daily`, `monthly`), and on which day of a month; NULL: never.
ALTER TABLE api_keys ADD COLUMN refill_amount BIGINT;
ALTER TABLE api_keys ADD COLUMN refill_interval TEXT;
ALTER TABLE api_keys ADD COLUMN refill_day BIGINT;
-- When they were filled up last, or given: the next time is counted from here.
ALTER TABLE api_keys ADD COLUMN refilled_at BIGINT;
-- Counts how often somebody gave credits: what was spent of those before is not taken from these.
ALTER TABLE api_keys ADD COLUMN credits_grant BIGINT NOT NULL DEFAULT 0;
