-- Whether somebody registered the account themselves: 0 or 1. Then it may be somebody else's than that of its address, and
-- whoever shows that the address is theirs gets it without any way in from before. Of accounts of before this was kept it is
-- not known; those whose address nobody showed to be theirs are taken for such, but for admins.
ALTER TABLE users ADD COLUMN is_self_registered BIGINT NOT NULL DEFAULT 0;
UPDATE users SET is_self_registered = 1 WHERE email_verified = 0 AND role <> 'admin';

-- The known device that a second factor is asked for on; NULL: none. Those of strangers take no place from it.
ALTER TABLE one_time_secrets ADD COLUMN device_id TEXT;
