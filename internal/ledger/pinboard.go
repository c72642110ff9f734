package ledger

import (
	"context"
	"slices"

	"postern/internal/logkey"
)

// A pinboard is what the server has been told of the pins.
type pinboard struct {
	pins    []Pin
	of      *store // from which they were read
	version int64  // its data_version then
}

// readPins tells the server of the pins if they are not those that it knows.
func (w *writer) readPins(s *store) error {
	version, err := s.number("PRAGMA data_version")
	if err != nil || w.told.of == s && w.told.version == version {
		return err
	}
	pins, err := s.pins()
	if err != nil {
		return err
	}
	first := w.told.of == nil
	changed := !slices.Equal(pins, w.told.pins)
	w.told = pinboard{pins: pins, of: s, version: version}
	if w.o.Pins != nil && (first || changed) {
		w.o.Pins(slices.Clone(pins))
	}
	return nil
}

func (s *store) pins() ([]Pin, error) {
	q := &query{}
	q.add(selectPins)
	return rows(context.Background(), s.conn, q, scanPin)
}

// keepPins puts the pins that the server knows into a new file that took the place of one
// that is gone.
func (w *writer) keepPins(s *store) error {
	if len(w.told.pins) == 0 {
		return nil
	}
	w.o.Log.Info("ledger keeps the pins", logkey.Ledger, w.path, logkey.Pins, len(w.told.pins))
	return s.transact(func() error {
		for _, p := range w.told.pins {
			if err := s.exec(insertPin, p.columns()...); err != nil {
				return err
			}
		}
		return nil
	})
}
