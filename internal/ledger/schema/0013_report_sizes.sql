-- What the reports of each kind take, so that adding one costs the same however many there are.
CREATE TABLE report_sizes (
	verified INTEGER PRIMARY KEY,
	size     INTEGER NOT NULL
);
INSERT INTO report_sizes SELECT kind.verified, coalesce(sum(r.size), 0)
	FROM (SELECT 0 AS verified UNION ALL SELECT 1) AS kind LEFT JOIN reports AS r ON r.verified = kind.verified
	GROUP BY kind.verified;

CREATE TRIGGER reports_added AFTER INSERT ON reports BEGIN
	UPDATE report_sizes SET size = size + new.size WHERE verified = new.verified;
END;
CREATE TRIGGER reports_deleted AFTER DELETE ON reports BEGIN
	UPDATE report_sizes SET size = size - old.size WHERE verified = old.verified;
END;
CREATE TRIGGER reports_changed AFTER UPDATE OF verified, size ON reports BEGIN
	UPDATE report_sizes SET size = size - old.size WHERE verified = old.verified;
	UPDATE report_sizes SET size = size + new.size WHERE verified = new.verified;
END;
