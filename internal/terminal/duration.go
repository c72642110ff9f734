package terminal

import (
	"fmt"
	"reflect"
	"time"

	"github.com/alecthomas/kong"
)

// Durations makes kong say what a duration looks like, if it is given another word.
var Durations = kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(parseDuration))

func parseDuration(ctx *kong.DecodeContext, target reflect.Value) error {
	var word string
	if err := ctx.Scan.PopValueInto("duration", &word); err != nil {
		return err
	}
	d, err := time.ParseDuration(word)
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 90s, 5m or 1h30m", word)
	}
	target.SetInt(int64(d))
	return nil
}
