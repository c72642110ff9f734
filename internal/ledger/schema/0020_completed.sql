-- The messages of a handshake that a sender completed before it delivered: the newest that is kept of
-- each, to compare a failed one with.
CREATE TABLE completed (
	network     BLOB    NOT NULL,
	ehlo        TEXT    NOT NULL,
	fingerprint TEXT    NOT NULL,
	at          INTEGER NOT NULL,
	handshake   INTEGER NOT NULL, -- its id; the row may be gone
	transcript  BLOB    NOT NULL, -- JSON, gzip
	PRIMARY KEY (network, ehlo, fingerprint)
) WITHOUT ROWID;
