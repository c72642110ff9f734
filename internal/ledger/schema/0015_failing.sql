-- Whether a sender can deliver, kept when writing, so that reading scans no handshakes.
ALTER TABLE senders ADD COLUMN name TEXT NOT NULL DEFAULT '';               -- by forward-confirmed reverse DNS
ALTER TABLE senders ADD COLUMN worked INTEGER NOT NULL DEFAULT 0;           -- the last session that worked: the client went on after the handshake
ALTER TABLE senders ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;        -- the last session with an accepted message
ALTER TABLE senders ADD COLUMN failing INTEGER NOT NULL DEFAULT 0;          -- failed handshakes since then
ALTER TABLE senders ADD COLUMN failing_since INTEGER NOT NULL DEFAULT 0;    -- the first and the last of them
ALTER TABLE senders ADD COLUMN failing_last INTEGER NOT NULL DEFAULT 0;

-- Of sessions before this, it is not known whether they had a message.
UPDATE senders SET worked = seen WHERE failed = 0 AND full + resumed + plaintext > 0;
UPDATE senders SET worked = coalesce((SELECT at FROM handshakes INDEXED BY handshakes_by_sender
	WHERE sender = senders.id AND outcome <> 3 AND NOT unused AND NOT probe ORDER BY at DESC LIMIT 1), 0) WHERE failed > 0;
UPDATE senders SET delivered = worked;
UPDATE senders SET (failing, failing_since, failing_last) = (SELECT count(*), coalesce(min(at), 0), coalesce(max(at), 0)
	FROM handshakes INDEXED BY failed_by_sender WHERE sender = senders.id AND outcome = 3 AND NOT probe AND at > senders.worked) WHERE failed > 0;

CREATE INDEX senders_failing ON senders (failing_last) WHERE failing > 0;
