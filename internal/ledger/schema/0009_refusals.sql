-- Commands that were refused or deferred, one row for each day, sender and reason.
CREATE TABLE refusals (
	id       INTEGER PRIMARY KEY,
	day      INTEGER NOT NULL,
	network  BLOB    NOT NULL,
	ehlo     TEXT    NOT NULL,
	command  TEXT    NOT NULL, -- empty if only counted
	"from"   TEXT    NOT NULL, -- as much of the addresses as is kept
	"to"     TEXT    NOT NULL,
	reply    TEXT    NOT NULL,
	remote   INTEGER NOT NULL, -- the reply is the next hop's own
	first    INTEGER NOT NULL,
	seen     INTEGER NOT NULL,
	count    INTEGER NOT NULL,
	session  TEXT    NOT NULL, -- the last one
	accepted INTEGER,          -- a message with the same addresses, after it was deferred
	last     INTEGER NOT NULL
);
CREATE UNIQUE INDEX refusals_by_reason ON refusals (network, day, ehlo, command, "from", "to", reply, remote);
CREATE INDEX refusals_by_time ON refusals (seen);
