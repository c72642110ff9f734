package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"time"

	"postern/internal/safetext"
)

// A Command tells by running a program, without a shell. The program gets the message as JSON on
// its standard input. Nothing that strangers sent is in its arguments or environment.
type Command struct {
	Args []string // the program and its arguments
}

const (
	// commandTime is how long the program may take. Then it is killed.
	commandTime = 30 * time.Second

	// maxOutput bounds what an error quotes of the program's output, in bytes.
	maxOutput = 500
)

// Name returns "command".
func (*Command) Name() string { return "command" }

// Tell runs the program. It is an error if that does not exit with 0.
func (c *Command) Tell(ctx context.Context, message Message) error {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	input, err := json.Marshal(message)
	if err != nil {
		return err
	}
	command := exec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	command.WaitDelay = time.Second // a child may keep the output open
	command.Stdin = bytes.NewReader(append(input, '\n'))
	var output tail
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		if len(output) > 0 {
			return fmt.Errorf("%s: %w: %s", c.Args[0], err, safetext.Printable(string(output)))
		}
		return fmt.Errorf("%s: %w", c.Args[0], err)
	}
	return nil
}

// A tail keeps the end of what is written to it.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if more := len(*t) - maxOutput; more > 0 {
		*t = append((*t)[:0], (*t)[more:]...)
	}
	return len(p), nil
}
