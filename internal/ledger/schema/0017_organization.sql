-- Whose a sender is (package organization), so that the senders of one are found without a scan.
-- It is empty until the sender's next session.
ALTER TABLE senders ADD COLUMN organization TEXT NOT NULL DEFAULT '';
CREATE INDEX senders_by_organization ON senders (organization, fingerprint) WHERE organization <> '';

-- With all that chooses between failing senders.
DROP INDEX senders_failing;
CREATE INDEX senders_failing ON senders (failing_last, failing_since, network, worked, failing) WHERE failing > 0;
