-- What happened in each half hour and each day, for the time line: sessions by outcome, failed
-- ones by their most certain diagnosis, and commands that were refused or deferred.
CREATE TABLE periods (
	minutes INTEGER NOT NULL, -- length: 30 or 1440
	number  INTEGER NOT NULL, -- of periods since 1970
	kind    INTEGER NOT NULL, -- see Outcome; 5: deferred commands, 6: refused ones
	case_id TEXT    NOT NULL, -- of failed ones; 'unknown' if there was no diagnosis
	count   INTEGER NOT NULL,
	last    INTEGER NOT NULL,
	PRIMARY KEY (minutes, number, kind, case_id)
) WITHOUT ROWID;

INSERT INTO periods SELECT 30, at / 1800000, outcome, CASE outcome WHEN 3 THEN
		coalesce((SELECT case_id FROM diagnoses WHERE handshake = h.id ORDER BY confidence DESC, case_id LIMIT 1), 'unknown')
	ELSE '' END AS found, count(*), max(id)
	FROM handshakes AS h WHERE NOT probe GROUP BY 2, 3, 4;
INSERT INTO periods SELECT 30, seen / 1800000, iif(reply LIKE '4%', 5, 6), '', sum(count), max(last)
	FROM refusals GROUP BY 2, 3;
INSERT INTO periods SELECT 1440, number / 48, kind, case_id, sum(count), max(last)
	FROM periods WHERE minutes = 30 GROUP BY 2, 3, 4;

-- The days that reports are about, without reading their content.
CREATE INDEX reports_by_day ON reports (min(coalesce("from", at), at) / 86400000, verified, failed, successful);

-- What the operator changed, or the server by itself.
CREATE TABLE events (
	id      INTEGER PRIMARY KEY,
	at      INTEGER NOT NULL,
	kind    TEXT    NOT NULL,
	subject TEXT    NOT NULL, -- what has changed: a certificate, a domain
	text    TEXT    NOT NULL,
	last    INTEGER NOT NULL
);
CREATE INDEX events_by_time    ON events (at);
CREATE INDEX events_by_subject ON events (kind, subject, id);
