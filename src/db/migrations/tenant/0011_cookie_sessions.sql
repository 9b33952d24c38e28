-- Sessions of browsers, which keep a cookie instead of tokens. The cookie is not here: it is made of the session's id,
-- and signed. 1: of a cookie, and no refresh token counts; 0: of tokens, and no cookie counts.
ALTER TABLE sessions ADD COLUMN is_cookie BIGINT NOT NULL DEFAULT 0;
