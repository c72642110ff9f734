package ledger

import "fmt"

// A kind is a table that strangers can fill, with its room: a part of the file. Whatever happens
// to other kinds, it may use that.
type kind struct {
	table string
	key   string // the columns that identify a row
	at    string // the column with its time
	host  string // the column with its host; 0 if all are of this one
	size  int64  // about what a row and its index entries take, in bytes
	part  int64  // of the file
	most  int64  // rows, however large the file may be
}

// MaxStates bounds the states that are kept. The fallback has fewer, some 70,000, and the room that
// the default size gives is enough for those.
const MaxStates = 1 << 17

// The kinds besides reports (reportshare.go) and handshakes (networks.go), which use what the
// others leave. Pins are an operator's, and are never deleted.
var kinds = []kind{
	{table: "refusals", key: "id", at: "seen", host: "host", size: 1 << 10, part: 8, most: 1 << 20}, // with long texts
	{table: "states", key: "network, fingerprint", at: "at", host: "0", size: 900, part: 8, most: MaxStates},
	{table: "decisions", key: "id", at: "at", host: "host", size: 500, part: 16, most: 1 << 20},
	{table: "completed", key: "network, ehlo, fingerprint", at: "at", host: "host", size: maxCompleted + 200, part: 32, most: 1 << 16},
}

// byKind keeps each kind within its room.
func (r *retention) byKind(s *store) error {
	for _, k := range kinds {
		if err := k.keep(s, k.limit(r.maxSize)); err != nil {
			return err
		}
	}
	for _, keep := range []func(*store) error{r.byOutbox, r.byEvents, r.byChecks} {
		if err := keep(s); err != nil {
			return err
		}
	}
	return r.byReports(s)
}

// limit returns how many rows may be kept in a file of a size.
func (k kind) limit(maxSize int64) int64 { return min(maxSize/k.part/k.size, k.most) }

// keep deletes rows if there are more than a limit. This host takes turns with all others together,
// at each host areas do, in them networks, and a network keeps its newest rows: whoever has many
// rows displaces their own.
func (k kind) keep(s *store, limit int64) error {
	n, err := s.number(`SELECT count(*) FROM ` + k.table)
	if err != nil || n <= limit {
		return err
	}
	return s.exec(fmt.Sprintf(`DELETE FROM %[1]s WHERE (%[2]s) IN (SELECT %[2]s FROM (
		SELECT %[2]s, %[3]s, row_number() OVER (PARTITION BY host = 0 ORDER BY host_turn, %[3]s DESC) AS turn FROM (
			SELECT %[2]s, %[3]s, host, row_number() OVER (PARTITION BY host ORDER BY area_turn, %[3]s DESC) AS host_turn FROM (
				SELECT %[2]s, %[3]s, host, row_number() OVER (PARTITION BY host, `+areaColumns+` ORDER BY network_turn, %[3]s DESC) AS area_turn FROM (
					SELECT %[2]s, %[3]s, network, %[4]s AS host, row_number() OVER (PARTITION BY %[4]s, network ORDER BY %[3]s DESC) AS network_turn FROM %[1]s))))
		ORDER BY turn, %[3]s DESC LIMIT -1 OFFSET ?)`, k.table, k.key, k.at, k.host), limit*19/20)
}

// areaColumns are, in SQL, what related networks have in common, as [admission.Wide] says.
const areaColumns = `length(network), substr(network, 1, iif(length(network) = 5, 2, 4))`
