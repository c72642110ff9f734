-- Sessions in plaintext at other hosts, after a failed handshake that is not here yet: it was at a
-- third host.
CREATE TABLE awaited (
	handshake INTEGER PRIMARY KEY REFERENCES handshakes ON DELETE CASCADE,
	session   TEXT NOT NULL -- of the failed handshake
);
CREATE INDEX awaited_by_session ON awaited (session);
