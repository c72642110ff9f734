-- Times are milliseconds since 1970 in UTC, days are numbers of days since then.
-- "last" is the id of the newest handshake when a row was written: it gives the age of
-- a row even if the clock was wrong (see retention.go).

CREATE TABLE senders (
	id          INTEGER PRIMARY KEY,
	network     BLOB    NOT NULL, -- address and length, as of netip.Prefix.MarshalBinary
	ehlo        TEXT    NOT NULL,
	fingerprint TEXT    NOT NULL, -- JA4; empty in plaintext
	first       INTEGER NOT NULL,
	seen        INTEGER NOT NULL,
	last        INTEGER NOT NULL,
	full        INTEGER NOT NULL DEFAULT 0, -- these are sums of its days
	resumed     INTEGER NOT NULL DEFAULT 0,
	failed      INTEGER NOT NULL DEFAULT 0,
	plaintext   INTEGER NOT NULL DEFAULT 0,
	returned    INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX senders_by_name ON senders (network, ehlo, fingerprint);

CREATE TABLE handshakes (
	id      INTEGER PRIMARY KEY, -- in the order of writing
	at      INTEGER NOT NULL,
	sender  INTEGER NOT NULL,
	outcome INTEGER NOT NULL,    -- see Outcome
	session TEXT    NOT NULL,
	address BLOB,                -- of 4 or 16 bytes
	version INTEGER NOT NULL,
	suite   INTEGER NOT NULL,
	"group" INTEGER NOT NULL,
	rung    TEXT    NOT NULL,
	after   INTEGER              -- in plaintext: the failed handshake before it
);
CREATE INDEX handshakes_by_time   ON handshakes (at, sender);
CREATE INDEX handshakes_by_sender ON handshakes (sender, at);
CREATE INDEX failed_by_time       ON handshakes (at, sender) WHERE outcome = 3;
CREATE INDEX failed_by_sender     ON handshakes (sender, at) WHERE outcome = 3;
CREATE INDEX failed_by_address    ON handshakes (address, at) WHERE outcome = 3;
CREATE INDEX handshakes_by_session ON handshakes (session);
CREATE INDEX returned_by_time     ON handshakes (at, sender) WHERE after IS NOT NULL;
CREATE INDEX returned_by_sender   ON handshakes (sender, at) WHERE after IS NOT NULL;

CREATE TABLE failures (
	handshake  INTEGER PRIMARY KEY REFERENCES handshakes ON DELETE CASCADE,
	stopped    TEXT NOT NULL,
	next       TEXT NOT NULL,
	transcript BLOB -- gzip; NULL if not stored
);

CREATE TABLE diagnoses (
	handshake  INTEGER NOT NULL REFERENCES handshakes ON DELETE CASCADE,
	case_id    TEXT    NOT NULL, -- 'unknown' if there is no diagnosis
	confidence REAL    NOT NULL,
	at         INTEGER NOT NULL, -- the handshake's
	PRIMARY KEY (handshake, case_id)
) WITHOUT ROWID;
CREATE INDEX diagnoses_by_case ON diagnoses (case_id, at);

CREATE TABLE days (
	day       INTEGER NOT NULL,
	sender    INTEGER NOT NULL, -- 0 is all senders
	version   INTEGER NOT NULL,
	suite     INTEGER NOT NULL,
	"group"   INTEGER NOT NULL,
	full      INTEGER NOT NULL,
	resumed   INTEGER NOT NULL,
	failed    INTEGER NOT NULL,
	plaintext INTEGER NOT NULL,
	returned  INTEGER NOT NULL, -- in plaintext after a failed handshake
	last      INTEGER NOT NULL,
	PRIMARY KEY (day, sender, version, suite, "group")
) WITHOUT ROWID;

CREATE TABLE decisions (
	id          INTEGER PRIMARY KEY,
	at          INTEGER NOT NULL,
	kind        TEXT    NOT NULL,
	network     BLOB    NOT NULL,
	fingerprint TEXT    NOT NULL,
	"from"      TEXT    NOT NULL,
	"to"        TEXT    NOT NULL,
	why         TEXT    NOT NULL,
	last        INTEGER NOT NULL
);
CREATE INDEX decisions_by_time    ON decisions (at);
CREATE INDEX decisions_by_network ON decisions (network, at);

CREATE TABLE states (
	network     BLOB    NOT NULL,
	fingerprint TEXT    NOT NULL,
	at          INTEGER NOT NULL,
	value       BLOB    NOT NULL, -- JSON of fallback.State
	last        INTEGER NOT NULL,
	PRIMARY KEY (network, fingerprint)
) WITHOUT ROWID;
CREATE INDEX states_by_time ON states (at);

CREATE TABLE pins (
	network BLOB PRIMARY KEY,
	rung    TEXT    NOT NULL,
	why     TEXT    NOT NULL,
	since   INTEGER NOT NULL
) WITHOUT ROWID;

-- One row for each hour that the server has run, with the id of the newest handshake.
CREATE TABLE hours (
	hour INTEGER PRIMARY KEY,
	last INTEGER NOT NULL
);

-- Rows older than the horizon have been deleted.
CREATE TABLE retention (
	horizon INTEGER NOT NULL
);
