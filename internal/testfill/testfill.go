// Package testfill fills values for golden files of stored formats: each field gets content of its own, so
// that a file shows a field that was added, and one that is not stored any more.
package testfill

import (
	"encoding"
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"time"
)

// Fill sets all that to points at: exported fields, and two entries of each list and map. It panics at a type that
// it does not know.
func Fill(to any) { new(filler).fill(reflect.ValueOf(to).Elem()) }

// A filler counts what it has filled, so that no two fields have the same content.
type filler struct{ n int }

var text = reflect.TypeFor[encoding.TextUnmarshaler]()

func (f *filler) fill(v reflect.Value) {
	f.n++
	switch to := v.Addr().Interface().(type) {
	case *time.Time:
		*to = time.Date(2026, 11, 24, 9, 0, f.n, 0, time.UTC)
		return
	case *netip.Addr:
		*to = netip.AddrFrom4([4]byte{192, 0, 2, byte(f.n)})
		return
	case *netip.Prefix:
		*to = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(f.n), 0}), 24)
		return
	case *json.RawMessage:
		*to = fmt.Appendf(nil, `{"n":%d}`, f.n)
		return
	}
	named := reflect.PointerTo(v.Type()).Implements(text) // a number is the name of something, and few have one
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(fmt.Appendf(nil, "bytes%d", f.n))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		f.each(v)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, of := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(of)
			v.SetMapIndex(key, of)
		}
	case reflect.Array:
		f.each(v)
	case reflect.String:
		v.SetString(fmt.Sprint("text", f.n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(number(f.n, named))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(number(f.n, named)))
	case reflect.Float64:
		v.SetFloat(float64(f.n) / 1000)
	default:
		panic(fmt.Sprint("no content for a ", v.Type()))
	}
}

func (f *filler) each(v reflect.Value) {
	for i := range v.Len() {
		f.fill(v.Index(i))
	}
}

func number(n int, named bool) int64 {
	if named {
		return 1
	}
	return int64(n % 128)
}
