package keylog

// recordHeaderLen is the length of type, version and length (RFC 8446, Section 5.1).
const recordHeaderLen = 5

// maxRecord is the longest encrypted record (RFC 8446, Section 5.2).
const maxRecord = recordHeaderLen + 1<<14 + 256

// A direction opens the records of one side of a connection, which changes its
// keys as the handshake goes on. When it does is said inside encrypted records and
// may be missing in a recording, so a record that the present key does not open is
// tried with those that may follow.
type direction struct {
	suite  suite
	secret func(label) []byte
	ahead  []label // of the keys to come, in their order
	key    *key
}

// clientLabels and serverLabels are the keys of a side in their order (RFC 8446,
// Section 7.1). Early data is left closed: no mail protocol has any.
var (
	clientLabels = []label{clientHandshake, clientApplication}
	serverLabels = []label{serverHandshake, serverApplication}
)

// maxSkipped is how many records of a key a recording may lack one after the other.
const maxSkipped = 8

// A candidate is a key that the next record may be under, and those after it.
type candidate struct {
	key   *key
	ahead []label
}

// open returns the content of a record, given with its header, and its true type.
func (d *direction) open(record []byte) (content []byte, kind byte, ok bool) {
	if len(record) < recordHeaderLen || len(record) > maxRecord {
		return nil, 0, false
	}
	if d.key != nil {
		if inner, ok := d.key.open(record, 0); ok {
			return unpad(inner)
		}
	}
	candidates := d.candidates()
	for skipped := range maxSkipped + 1 {
		for _, c := range candidates {
			if inner, ok := c.key.open(record, uint64(skipped)); ok {
				d.key, d.ahead = c.key, c.ahead
				return unpad(inner)
			}
		}
	}
	return nil, 0, false
}

func (d *direction) candidates() (list []candidate) {
	if d.key != nil {
		list = append(list, candidate{d.key, d.ahead})
	}
	for i, label := range d.ahead {
		if k := newKey(d.suite, d.secret(label)); k != nil {
			list = append(list, candidate{k, d.ahead[i+1:]})
		}
	}
	if d.key != nil && len(d.ahead) == 0 {
		list = append(list, candidate{d.key.updated(), nil})
	}
	return list
}

// unpad parts a TLSInnerPlaintext into content and type (RFC 8446, Section 5.4).
func unpad(inner []byte) (content []byte, kind byte, ok bool) {
	for i := len(inner) - 1; i >= 0; i-- {
		if inner[i] != 0 {
			return inner[:i], inner[i], true
		}
	}
	return nil, 0, false
}
