-- What the server found when it checked itself: the last result for each host and domain.
CREATE TABLE checks (
	kind     TEXT    NOT NULL,
	name     TEXT    NOT NULL,
	at       INTEGER NOT NULL,
	severity INTEGER NOT NULL, -- the higher the worse
	summary  TEXT    NOT NULL, -- JSON
	content  BLOB    NOT NULL, -- JSON, gzip
	last     INTEGER NOT NULL,
	PRIMARY KEY (kind, name)
) WITHOUT ROWID;
CREATE INDEX checks_by_severity ON checks (kind, severity, name);
CREATE INDEX checks_by_time     ON checks (kind, at);
