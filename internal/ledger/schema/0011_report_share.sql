-- Whose share of the room for reports a report takes: see reportshare.go. Until a report is
-- stored with it, the signer's full domain or the client's address is near enough.
ALTER TABLE reports ADD COLUMN share TEXT NOT NULL DEFAULT '';
UPDATE reports SET share = CASE WHEN verified THEN signer ELSE coalesce(hex(address), '') END;

DROP INDEX reports_by_worth;
CREATE INDEX reports_by_share ON reports (verified, share, at, size);
