-- The last change of each network's pin, also of those that were removed, so that hosts of a fleet
-- know which one is later. A pin that has none here was changed when it was set.
CREATE TABLE pin_changes (
	network BLOB PRIMARY KEY,
	changed INTEGER NOT NULL,
	host    TEXT    NOT NULL -- where it was changed; empty without a fleet
) WITHOUT ROWID;
