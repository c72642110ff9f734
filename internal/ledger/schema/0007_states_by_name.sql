-- What a state has for each mode is stored by the mode's name, no longer as a list in the
-- order of sessionticket.Mode.
UPDATE states SET value = (SELECT CAST(json_set(v,
		'$.Worked', json_object('first-write', v -> '$.Worked[0]', 'own-write', v -> '$.Worked[1]',
			'no-ticket', v -> '$.Worked[2]', 'tls12', v -> '$.Worked[3]', 'stock', v -> '$.Worked[4]'),
		'$.Failed', json_object('first-write', v -> '$.Failed[0]', 'own-write', v -> '$.Failed[1]',
			'no-ticket', v -> '$.Failed[2]', 'tls12', v -> '$.Failed[3]', 'stock', v -> '$.Failed[4]'),
		'$.Tried', json_object('first-write', v -> '$.Tried[0]', 'own-write', v -> '$.Tried[1]',
			'no-ticket', v -> '$.Tried[2]', 'tls12', v -> '$.Tried[3]', 'stock', v -> '$.Tried[4]')) AS BLOB)
	FROM (SELECT CAST(value AS TEXT) AS v))
	WHERE json_valid(CAST(value AS TEXT));
