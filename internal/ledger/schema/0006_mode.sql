-- The field's words: a rung is a TLS mode, a trusted report is a verified one.
ALTER TABLE handshakes RENAME COLUMN rung TO mode;
ALTER TABLE pins RENAME COLUMN rung TO mode;
ALTER TABLE reports RENAME COLUMN trusted TO verified;
UPDATE reports SET via = 'file' WHERE via = 'hand';

UPDATE decisions SET kind = CASE kind
	WHEN 'moved-down' THEN 'fell-back'
	WHEN 'moved-back' THEN 'reverted'
	WHEN 'moved-up'   THEN 'recovered'
	WHEN 'retried'    THEN 'retry-failed'
	ELSE kind END;

-- Lists by mode began with stock. They are in the order of sessionticket.Mode now:
-- first-write, own-write, no-ticket, tls12, stock.
UPDATE states SET value = (SELECT CAST(json_object(
		'Network', v -> 'Network', 'Fingerprint', v -> 'Fingerprint',
		'Mode', v -> 'Rung', 'Since', v -> 'Since', 'Why', v -> 'Why', 'Seen', v -> 'Seen',
		'Worked', json_array(v -> '$.Used[1]', v -> '$.Used[2]', v -> '$.Used[3]', v -> '$.Used[4]', v -> '$.Used[0]'),
		'Failed', json_array(v -> '$.Failed[1]', v -> '$.Failed[2]', v -> '$.Failed[3]', v -> '$.Failed[4]', v -> '$.Failed[0]'),
		'Penalty', v -> 'Debt',
		'Tried', json_array(v -> '$.Tried[1]', v -> '$.Tried[2]', v -> '$.Tried[3]', v -> '$.Tried[4]', v -> '$.Tried[0]'),
		'Confirmed', v -> 'Proven', 'Retrying', v -> 'Trying', 'Retries', v -> 'Retries', 'RetryAt', v -> 'RetryAt',
		'Areas', v -> 'Witnesses', 'Helps', v -> 'Helps') AS BLOB)
	FROM (SELECT CAST(value AS TEXT) AS v))
	WHERE json_valid(CAST(value AS TEXT));
