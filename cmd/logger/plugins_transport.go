package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/sdk/aggregatortest"
	"github.com/deis/logger/sdk/storagetest"
)

// commandTransport has the shell commands by which an author handles an aggregator's transport.
type commandTransport struct{ publish, outstanding, cut, mend string }

// open returns the transport, nil if there are no commands.
func (c commandTransport) open(ctx context.Context) aggregatortest.Transport {
	if c.publish == "" {
		return nil
	}
	t := runningTransport{ctx: ctx, commands: c}
	if c.cut == "" {
		return t
	}
	return breakableTransport{t}
}

// runningTransport runs the commands until ctx ends.
type runningTransport struct {
	ctx      context.Context //nolint:containedctx // the fixture's methods have none
	commands commandTransport
}

// commandTime bounds one command.
const commandTime = 15 * time.Second

func (t runningTransport) run(command string, stdin []byte) (string, error) {
	ctx, cancel := context.WithTimeout(t.ctx, commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = bytes.NewReader(stdin), &stdout, &stderr, os.Environ()
	cmd.WaitDelay = time.Second // a child may hold the pipes
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w: %s", command, err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// Publish implements [aggregatortest.Transport]: one command per message.
func (t runningTransport) Publish(payloads ...[]byte) error {
	for _, p := range payloads {
		if _, err := t.run(t.commands.publish, p); err != nil {
			return err
		}
	}
	return nil
}

// Outstanding implements [aggregatortest.Transport].
func (t runningTransport) Outstanding() (int, error) {
	out, err := t.run(t.commands.outstanding, nil)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: printed %.40q, want a number: %w", t.commands.outstanding, out, strconv.ErrSyntax)
	}
	return n, nil
}

// breakableTransport adds Break and Mend to a running transport.
type breakableTransport struct{ runningTransport }

// Break implements [aggregatortest.Breakable].
func (t breakableTransport) Break() error {
	_, err := t.run(t.commands.cut, nil)
	return err
}

// Mend implements [aggregatortest.Breakable].
func (t breakableTransport) Mend() error {
	_, err := t.run(t.commands.mend, nil)
	return err
}

// backend returns a storage's backend, nil if there are no commands for it.
func (o *checkOptions) backend(ctx context.Context) storagetest.Backend {
	if o.transport.cut == "" {
		return nil
	}
	b := breakableTransport{runningTransport{ctx: context.WithoutCancel(ctx), commands: o.transport}} // it is mended in any case
	if o.freeze == "" {
		return b
	}
	return freezer{b, o.freeze, o.thaw}
}

// freezer adds Freeze and Thaw to a breakable transport.
type freezer struct {
	breakableTransport
	freeze, thaw string
}

// Freeze implements [storagetest.Freezer].
func (f freezer) Freeze() error {
	_, err := f.run(f.freeze, nil)
	return err
}

// Thaw implements [storagetest.Freezer].
func (f freezer) Thaw() error {
	_, err := f.run(f.thaw, nil)
	return err
}

func printJSONLine(w io.Writer, value any) error { return json.NewEncoder(w).Encode(value) }
