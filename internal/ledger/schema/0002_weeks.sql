-- What each sender did in a week: the sums of its days, for those who ask since long
-- ago. A week is days / 7. The triggers keep it so, whatever is written or deleted.

CREATE TABLE weeks (
	week      INTEGER NOT NULL,
	sender    INTEGER NOT NULL,
	full      INTEGER NOT NULL,
	resumed   INTEGER NOT NULL,
	failed    INTEGER NOT NULL,
	plaintext INTEGER NOT NULL,
	returned  INTEGER NOT NULL,
	PRIMARY KEY (week, sender)
) WITHOUT ROWID;

INSERT INTO weeks
	SELECT day / 7, sender, sum(full), sum(resumed), sum(failed), sum(plaintext), sum(returned)
	FROM days WHERE sender <> 0 GROUP BY day / 7, sender;

CREATE TRIGGER day_begun AFTER INSERT ON days WHEN new.sender <> 0 BEGIN
	INSERT INTO weeks
		VALUES (new.day / 7, new.sender, new.full, new.resumed, new.failed, new.plaintext, new.returned)
		ON CONFLICT DO UPDATE SET full = full + excluded.full, resumed = resumed + excluded.resumed,
			failed = failed + excluded.failed, plaintext = plaintext + excluded.plaintext,
			returned = returned + excluded.returned;
END;

CREATE TRIGGER day_counted AFTER UPDATE ON days WHEN new.sender <> 0 BEGIN
	UPDATE weeks SET full = full + new.full - old.full, resumed = resumed + new.resumed - old.resumed,
			failed = failed + new.failed - old.failed, plaintext = plaintext + new.plaintext - old.plaintext,
			returned = returned + new.returned - old.returned
		WHERE week = new.day / 7 AND sender = new.sender;
END;

CREATE TRIGGER day_forgotten AFTER DELETE ON days WHEN old.sender <> 0 BEGIN
	UPDATE weeks SET full = full - old.full, resumed = resumed - old.resumed,
			failed = failed - old.failed, plaintext = plaintext - old.plaintext,
			returned = returned - old.returned
		WHERE week = old.day / 7 AND sender = old.sender;
	DELETE FROM weeks WHERE week = old.day / 7 AND sender = old.sender
		AND full + resumed + failed + plaintext = 0;
END;
