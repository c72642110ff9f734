package ledger

import (
	"context"
	"database/sql"
	"strings"
)

// A query is SQL in the making. Its texts are constants, what varies is in args.
type query struct {
	text strings.Builder
	args []any
}

// add appends text, with args for its question marks.
func (q *query) add(text string, args ...any) {
	q.text.WriteString(text)
	q.text.WriteByte('\n')
	q.args = append(q.args, args...)
}

// A scanner reads the columns of a row.
type scanner func(columns ...any) error

// A querier is a connection, or a pool of them.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// rows returns what row makes of each row of q. All are read before any is used, since a
// reader that lingers keeps the writer's journal from being cleared.
func rows[T any](ctx context.Context, db querier, q *query, row func(scanner) (T, error)) ([]T, error) {
	found, err := db.QueryContext(ctx, q.text.String(), q.args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []T
	for found.Next() {
		one, err := row(found.Scan)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, found.Err()
}
