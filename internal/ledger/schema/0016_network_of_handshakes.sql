-- Each handshake names its network, so that the oldest of a network are found without a look at
-- the others. "bare" is the id of a handshake: the network has no transcript up to it.
DROP TRIGGER sender_begun;
DROP TRIGGER sender_forgotten;
DROP TRIGGER handshake_forgotten;
DROP TRIGGER transcript_forgotten;

ALTER TABLE networks RENAME TO old_networks;
CREATE TABLE networks (
	id          INTEGER PRIMARY KEY,
	network     BLOB    NOT NULL UNIQUE,
	sessions    INTEGER NOT NULL, -- handshakes, failed ones included
	failed      INTEGER NOT NULL,
	transcripts INTEGER NOT NULL, -- their bytes
	senders     INTEGER NOT NULL,
	bare        INTEGER NOT NULL DEFAULT 0
);
INSERT INTO networks (network, sessions, failed, transcripts, senders)
	SELECT network, sessions, failed, transcripts, senders FROM old_networks;
DROP TABLE old_networks;

ALTER TABLE handshakes ADD COLUMN network_id INTEGER NOT NULL DEFAULT 0;
UPDATE handshakes SET network_id = coalesce((SELECT n.id FROM senders AS s JOIN networks AS n USING (network) WHERE s.id = sender), 0);
CREATE INDEX handshakes_by_network ON handshakes (network_id); -- and by id

CREATE TRIGGER sender_begun AFTER INSERT ON senders BEGIN
	INSERT INTO networks (network, sessions, failed, transcripts, senders) VALUES (new.network, 0, 0, 0, 1)
		ON CONFLICT DO UPDATE SET senders = senders + 1;
END;

CREATE TRIGGER sender_forgotten AFTER DELETE ON senders BEGIN
	UPDATE networks SET senders = senders - 1 WHERE network = old.network;
	DELETE FROM networks WHERE network = old.network AND senders <= 0;
END;

CREATE TRIGGER handshake_forgotten BEFORE DELETE ON handshakes BEGIN
	UPDATE networks SET sessions = sessions - 1, failed = failed - (old.outcome = 3),
			transcripts = transcripts - coalesce((SELECT length(transcript) FROM failures WHERE handshake = old.id), 0)
		WHERE id = old.network_id;
END;

CREATE TRIGGER transcript_forgotten AFTER UPDATE OF transcript ON failures BEGIN
	UPDATE networks SET transcripts = transcripts - coalesce(length(old.transcript), 0) + coalesce(length(new.transcript), 0)
		WHERE id = (SELECT network_id FROM handshakes WHERE id = old.handshake);
END;
