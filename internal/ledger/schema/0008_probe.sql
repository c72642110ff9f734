-- Of a handshake: it was the operator's own probe, which counts nowhere.
ALTER TABLE handshakes ADD COLUMN probe INTEGER NOT NULL DEFAULT 0;
