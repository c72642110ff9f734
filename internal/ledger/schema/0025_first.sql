-- Of this host: the number up to which its records are those of an earlier file, if this one replaced it.
ALTER TABLE hosts ADD COLUMN first INTEGER NOT NULL DEFAULT 0;
