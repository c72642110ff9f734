-- Of a handshake that completed: no command came over it. It counts as the others do.
ALTER TABLE handshakes ADD COLUMN unused INTEGER NOT NULL DEFAULT 0;
