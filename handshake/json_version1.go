package handshake

import "encoding/json"

// upgrade returns a transcript of version 1 in the names of version 2. It changes only the
// names of version 1, and leaves everything else for the reader to check.
func upgrade(data []byte) ([]byte, error) {
	var t map[string]json.RawMessage
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, worded(err)
	}
	rename(t, "hello", "client_hello")
	rename(t, "choice", "server_hello")
	replace(t, "use", map[string]string{"spoke": "data", "mailed": "mail"})
	sides := map[string]string{"nobody": "unknown"}

	var messages []map[string]json.RawMessage
	if json.Unmarshal(t["messages"], &messages) == nil && messages != nil {
		for _, m := range messages {
			replace(m, "from", sides)
		}
		t["messages"] = object(messages)
	}
	var end map[string]json.RawMessage
	if json.Unmarshal(t["end"], &end) == nil && end != nil {
		rename(end, "how", "kind")
		replace(end, "by", sides)
		t["end"] = object(end)
	}
	return object(t), nil
}

// rename renames a field, unless the new name is taken.
func rename(fields map[string]json.RawMessage, from, to string) {
	value, has := fields[from]
	if _, taken := fields[to]; has && !taken {
		fields[to] = value
		delete(fields, from)
	}
}

// replace replaces a text value of a field.
func replace(fields map[string]json.RawMessage, field string, values map[string]string) {
	var value string
	if json.Unmarshal(fields[field], &value) == nil && values[value] != "" {
		fields[field] = object(values[value])
	}
}

// object returns the JSON of a value that was read from JSON.
func object(v any) json.RawMessage {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // it was JSON
	}
	return data
}
