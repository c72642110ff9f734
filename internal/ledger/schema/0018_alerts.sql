-- Alerts: what was wrong, from when to when, and what was said of it where.
CREATE TABLE alerts (
	id    INTEGER PRIMARY KEY, -- people name alerts by it
	ended INTEGER,             -- NULL while it is open
	value BLOB    NOT NULL     -- JSON of Alert
);
CREATE INDEX alerts_by_end ON alerts (ended);

-- Who acknowledged an alert, and when. Other processes write it, so it is no part of the
-- row that the server writes.
CREATE TABLE acknowledgements (
	alert INTEGER PRIMARY KEY,
	at    INTEGER NOT NULL,
	by    TEXT    NOT NULL
);

-- What the rules for alerts have learned so far, by the name of the rule.
CREATE TABLE alert_memory (
	name  TEXT PRIMARY KEY,
	value BLOB NOT NULL -- gzip
) WITHOUT ROWID;
