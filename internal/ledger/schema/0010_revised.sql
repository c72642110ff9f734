-- Of a failed handshake: what was said of it before another one of its sender showed more.
ALTER TABLE failures ADD COLUMN revised TEXT NOT NULL DEFAULT '';

-- What a diagnosis rests on: a JSON list of texts.
ALTER TABLE diagnoses ADD COLUMN evidence TEXT NOT NULL DEFAULT '[]';
