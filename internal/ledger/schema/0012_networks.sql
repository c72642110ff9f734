-- What each network has in handshakes, failures and senders, so that the networks with the most
-- can be cut when the file is full: see networks.go. The writer adds, the triggers subtract.
CREATE TABLE networks (
	network     BLOB PRIMARY KEY,
	sessions    INTEGER NOT NULL, -- handshakes, failed ones included
	failed      INTEGER NOT NULL,
	transcripts INTEGER NOT NULL, -- their bytes
	senders     INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO networks
	SELECT network, count(h.id), total(h.outcome = 3), coalesce(sum(length(transcript)), 0), count(DISTINCT s.id)
	FROM senders AS s LEFT JOIN handshakes AS h ON h.sender = s.id LEFT JOIN failures AS f ON f.handshake = h.id
	GROUP BY network;

CREATE TRIGGER sender_begun AFTER INSERT ON senders BEGIN
	INSERT INTO networks VALUES (new.network, 0, 0, 0, 1) ON CONFLICT DO UPDATE SET senders = senders + 1;
END;

CREATE TRIGGER sender_forgotten AFTER DELETE ON senders BEGIN
	UPDATE networks SET senders = senders - 1 WHERE network = old.network;
	DELETE FROM networks WHERE network = old.network AND senders <= 0;
END;

CREATE TRIGGER handshake_forgotten BEFORE DELETE ON handshakes BEGIN
	UPDATE networks SET sessions = sessions - 1, failed = failed - (old.outcome = 3),
			transcripts = transcripts - coalesce((SELECT length(transcript) FROM failures WHERE handshake = old.id), 0)
		WHERE network = (SELECT network FROM senders WHERE id = old.sender);
END;

CREATE TRIGGER transcript_forgotten AFTER UPDATE OF transcript ON failures BEGIN
	UPDATE networks SET transcripts = transcripts - coalesce(length(old.transcript), 0) + coalesce(length(new.transcript), 0)
		WHERE network = (SELECT network FROM handshakes AS h JOIN senders AS s ON s.id = h.sender WHERE h.id = old.handshake);
END;
