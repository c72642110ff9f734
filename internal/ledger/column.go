package ledger

import (
	"fmt"
	"net/netip"
	"time"
)

// How Go's values stand in columns. Reading is by sql.Scanner.

// millis reads a time in milliseconds since 1970.
type millis struct{ time *time.Time }

func (m millis) Scan(value any) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("%T in place of a time", value)
	}
	*m.time = time.UnixMilli(n).UTC()
	return nil
}

// milli writes one. What is before 1970, as the zero time is, is taken for that.
func milli(t time.Time) int64 { return max(0, t.UnixMilli()) }

// blob writes an address: without a zone, in 4 or 16 bytes, none for the zero address.
func blob(addr netip.Addr) []byte {
	return addr.Unmap().WithZone("").AsSlice()
}

// address reads one.
type address struct{ addr *netip.Addr }

func (a address) Scan(value any) error {
	bytes, _ := value.([]byte)
	return a.addr.UnmarshalBinary(bytes)
}

// network writes a prefix: its address and its length in a byte more.
func network(p netip.Prefix) []byte {
	bits := p.Bits()
	if bits < 0 {
		return []byte{0} // as netip.Prefix.UnmarshalBinary takes it for the zero prefix
	}
	return append(blob(p.Masked().Addr()), byte(bits))
}

// prefix reads one.
type prefix struct{ prefix *netip.Prefix }

func (p prefix) Scan(value any) error {
	bytes, _ := value.([]byte)
	return p.prefix.UnmarshalBinary(bytes)
}
