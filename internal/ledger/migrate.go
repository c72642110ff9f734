package ledger

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
)

// The migrations, numbered from 1. A migration only adds: columns that have a
// default, tables, indexes, triggers. So a reader that is one older still finds what it
// asks for.
//
//go:embed schema/*.sql
var schema embed.FS

// oldestReadable is the oldest schema that this version's queries can be asked
// of. A migration that adds what a query needs raises it.
const oldestReadable = 2 // weeks

// ErrNewer is what the ledger of a newer Postern gives.
var ErrNewer = errors.New("written by a newer postern")

// migrations returns the text of each, in order.
func migrations() []string {
	names, err := schema.ReadDir("schema")
	if err != nil {
		panic(err) // embedded
	}
	var steps []string
	for _, name := range names {
		text, err := schema.ReadFile("schema/" + name.Name())
		if err != nil {
			panic(err)
		}
		steps = append(steps, string(text))
	}
	return steps
}

// schemaOf returns the number of the migration that db has come to. It is 0 in a
// file that nothing was written to.
func schemaOf(ctx context.Context, db *sql.DB) (int, error) {
	var version int
	err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version)
	return version, err
}

// migrate brings db from the schema it has to the last of steps, each step whole
// or not at all. It returns the number it began from.
func migrate(ctx context.Context, db *sql.DB, steps []string) (from int, err error) {
	from, err = schemaOf(ctx, db)
	if err != nil {
		return from, err
	}
	if from > len(steps) {
		return from, newer(from, len(steps))
	}
	for i := from; i < len(steps); i++ {
		if err := step(ctx, db, i+1, steps[i]); err != nil {
			return from, fmt.Errorf("migration %d: %w", i+1, err)
		}
	}
	return from, nil
}

func step(ctx context.Context, db *sql.DB, number int, text string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", number)); err != nil {
		return err
	}
	return tx.Commit()
}

func newer(has, known int) error {
	return fmt.Errorf("schema %d, this version knows %d: %w; use that one", has, known, ErrNewer)
}
