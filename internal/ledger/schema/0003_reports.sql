-- TLS reports as they came in. "size" is what a row takes, near enough.
CREATE TABLE reports (
	id           INTEGER PRIMARY KEY AUTOINCREMENT, -- people name reports by it
	hash         BLOB    NOT NULL, -- of the content before it was compressed
	at           INTEGER NOT NULL, -- when it came
	last         INTEGER NOT NULL,
	via          TEXT    NOT NULL,
	session      TEXT    NOT NULL,
	address      BLOB,
	trusted      INTEGER NOT NULL,
	signer       TEXT    NOT NULL,
	verdict      TEXT    NOT NULL,
	submitter    TEXT    NOT NULL,
	organization TEXT    NOT NULL,
	report       TEXT    NOT NULL, -- the sender's id of it
	"from"       INTEGER,          -- the span that it is about; NULL: it does not say
	"to"         INTEGER,
	successful   INTEGER NOT NULL,
	failed       INTEGER NOT NULL,
	domains      TEXT    NOT NULL, -- a JSON list
	warnings     TEXT    NOT NULL, -- a JSON list
	content      BLOB    NOT NULL, -- gzip
	size         INTEGER NOT NULL
);
CREATE UNIQUE INDEX reports_by_hash ON reports (hash);
CREATE INDEX reports_by_span  ON reports (coalesce("to", at), id);
CREATE INDEX reports_by_name  ON reports (submitter, report);
CREATE INDEX reports_by_worth ON reports (trusted, at, size);
