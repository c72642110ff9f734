-- Names that this host had, with its position when it got another: up to that, what other hosts have of
-- one is here, without a name.
CREATE TABLE former_names (
	name     TEXT PRIMARY KEY,
	position INTEGER NOT NULL
) WITHOUT ROWID;
