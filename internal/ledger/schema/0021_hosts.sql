-- The hosts of a fleet: 0 is this one. Without a fleet there is none, and all rows are of host 0.
CREATE TABLE hosts (
	id       INTEGER PRIMARY KEY,
	name     TEXT    NOT NULL,
	position INTEGER NOT NULL -- the number of its last record here: see outbox.go and take.go
);
CREATE UNIQUE INDEX hosts_by_name ON hosts (name) WHERE id > 0;

-- Records of this host that are not published yet, in batches.
CREATE TABLE outbox (
	first INTEGER PRIMARY KEY, -- the number of the first record
	last  INTEGER NOT NULL,    -- and of the last one
	data  BLOB    NOT NULL     -- gzip: each record in a line, its kind and its JSON
);

-- A sender has a row for each host that it was at, and with it handshakes, days and weeks have a
-- host. In days, the sums of all senders at a host are those of the sender with minus its id.
ALTER TABLE senders ADD COLUMN host INTEGER NOT NULL DEFAULT 0;
DROP INDEX senders_by_name;
CREATE UNIQUE INDEX senders_by_name ON senders (network, ehlo, fingerprint, host);
CREATE INDEX senders_of_hosts ON senders (host) WHERE host > 0;

DROP TRIGGER day_begun;
DROP TRIGGER day_counted;
DROP TRIGGER day_forgotten;
CREATE TRIGGER day_begun AFTER INSERT ON days WHEN new.sender > 0 BEGIN
	INSERT INTO weeks
		VALUES (new.day / 7, new.sender, new.full, new.resumed, new.failed, new.plaintext, new.returned)
		ON CONFLICT DO UPDATE SET full = full + excluded.full, resumed = resumed + excluded.resumed,
			failed = failed + excluded.failed, plaintext = plaintext + excluded.plaintext,
			returned = returned + excluded.returned;
END;
CREATE TRIGGER day_counted AFTER UPDATE ON days WHEN new.sender > 0 BEGIN
	UPDATE weeks SET full = full + new.full - old.full, resumed = resumed + new.resumed - old.resumed,
			failed = failed + new.failed - old.failed, plaintext = plaintext + new.plaintext - old.plaintext,
			returned = returned + new.returned - old.returned
		WHERE week = new.day / 7 AND sender = new.sender;
END;
CREATE TRIGGER day_forgotten AFTER DELETE ON days WHEN old.sender > 0 BEGIN
	UPDATE weeks SET full = full - old.full, resumed = resumed - old.resumed,
			failed = failed - old.failed, plaintext = plaintext - old.plaintext,
			returned = returned - old.returned
		WHERE week = old.day / 7 AND sender = old.sender;
	DELETE FROM weeks WHERE week = old.day / 7 AND sender = old.sender
		AND full + resumed + failed + plaintext = 0;
END;

-- What a network has at each host.
DROP TRIGGER sender_begun;
DROP TRIGGER sender_forgotten;
DROP TRIGGER handshake_forgotten;
DROP TRIGGER transcript_forgotten;
ALTER TABLE networks RENAME TO old_networks;
CREATE TABLE networks (
	id          INTEGER PRIMARY KEY,
	network     BLOB    NOT NULL,
	host        INTEGER NOT NULL DEFAULT 0,
	sessions    INTEGER NOT NULL, -- handshakes, failed ones included
	failed      INTEGER NOT NULL,
	transcripts INTEGER NOT NULL, -- their bytes
	senders     INTEGER NOT NULL,
	bare        INTEGER NOT NULL DEFAULT 0,
	UNIQUE (network, host)
);
INSERT INTO networks (id, network, sessions, failed, transcripts, senders, bare)
	SELECT id, network, sessions, failed, transcripts, senders, bare FROM old_networks;
DROP TABLE old_networks;

CREATE TRIGGER sender_begun AFTER INSERT ON senders BEGIN
	INSERT INTO networks (network, host, sessions, failed, transcripts, senders) VALUES (new.network, new.host, 0, 0, 0, 1)
		ON CONFLICT DO UPDATE SET senders = senders + 1;
END;
CREATE TRIGGER sender_forgotten AFTER DELETE ON senders BEGIN
	UPDATE networks SET senders = senders - 1 WHERE network = old.network AND host = old.host;
	DELETE FROM networks WHERE network = old.network AND host = old.host AND senders <= 0;
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

ALTER TABLE periods RENAME TO old_periods;
CREATE TABLE periods (
	minutes INTEGER NOT NULL, -- length: 30 or 1440
	number  INTEGER NOT NULL, -- of periods since 1970
	kind    INTEGER NOT NULL, -- see Outcome; 5: deferred commands, 6: refused ones
	case_id TEXT    NOT NULL, -- of failed ones; 'unknown' if there was no diagnosis
	count   INTEGER NOT NULL,
	last    INTEGER NOT NULL,
	host    INTEGER NOT NULL DEFAULT 0,
	PRIMARY KEY (minutes, number, kind, case_id, host)
) WITHOUT ROWID;
INSERT INTO periods SELECT minutes, number, kind, case_id, count, last, 0 FROM old_periods;
DROP TABLE old_periods;

ALTER TABLE refusals ADD COLUMN host INTEGER NOT NULL DEFAULT 0;
DROP INDEX refusals_by_reason;
CREATE UNIQUE INDEX refusals_by_reason ON refusals (network, day, ehlo, command, "from", "to", reply, remote, host);

ALTER TABLE decisions ADD COLUMN host INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reports   ADD COLUMN host INTEGER NOT NULL DEFAULT 0; -- at which it was received first
ALTER TABLE completed ADD COLUMN host INTEGER NOT NULL DEFAULT 0; -- of the handshake

ALTER TABLE events ADD COLUMN host INTEGER NOT NULL DEFAULT 0;
DROP INDEX events_by_subject;
CREATE INDEX events_by_subject ON events (host, kind, subject, id);

-- Alerts of other hosts, by the number that they have there.
CREATE TABLE other_alerts (
	host  INTEGER NOT NULL,
	id    INTEGER NOT NULL,
	seen  INTEGER NOT NULL, -- when it was last so
	ended INTEGER,          -- NULL while it is open
	value BLOB    NOT NULL, -- JSON of Alert
	PRIMARY KEY (host, id)
) WITHOUT ROWID;
