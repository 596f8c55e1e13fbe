package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// roleEnv tells this program, when it starts itself, which role to play: an nsqd, or one of the
// ceilings. Each role is a process of its own, so that its processor time can be read.
const roleEnv = "LOGGER_BENCH_ROLE"

// part holds a role and its options, as JSON in roleEnv.
type part struct {
	Role string
	// NSQD and Redis are addresses, as host:port; Logger is a URL.
	NSQD, Redis, Logger string
	Dir                 string
	MemQueue            int64
	Messages, Handlers  int
	Storage             string
	CPUProfile          string
	// Binaries is the folder of the built logger. If it is set, the aggregator runs as a plugin.
	Binaries string
}

// roles lists the roles of this program. Each plays until ctx ends, and calls ready once with what
// its parent needs to know.
var roles = map[string]func(ctx context.Context, p part, ready func(answer any) error) error{
	"nsqd":       playNSQD,
	"raw":        playRawReader,
	"gonsq":      playGoNSQ,
	"append":     playAppend,
	"bare":       playBareHandler,
	"lrange":     playLRangeHandler,
	"in-process": playInProcess,
}

func playRole(ctx context.Context, options string) error {
	var p part
	if err := json.Unmarshal([]byte(options), &p); err != nil {
		return fmt.Errorf("%s: %w", roleEnv, err)
	}
	play, ok := roles[p.Role]
	if !ok {
		return fmt.Errorf("%s: no role %q", roleEnv, p.Role)
	}
	err := play(ctx, p, func(answer any) error { return json.NewEncoder(os.Stdout).Encode(answer) })
	if ctx.Err() != nil {
		return nil // its parent told it to end
	}
	return err
}

// start runs this program in a role, and returns once the role is ready. If answer is not nil,
// start decodes into it what the role passed to ready.
func start(ctx context.Context, p part, answer any) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	options, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self) //nolint:noctx // its end is in its caller's order
	cmd.Env = append(os.Environ(), roleEnv+"="+string(options))
	// StdoutPipe does not do: Wait, which runs while this reads, would close it.
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = read.Close() }()
	cmd.Stdout = write
	child, err := launch(cmd)
	_ = write.Close()
	if err != nil {
		return nil, err
	}
	stopWaiting := context.AfterFunc(ctx, func() { _ = read.Close() })
	defer stopWaiting()
	line, err := bufio.NewReader(io.LimitReader(read, 1<<16)).ReadBytes('\n')
	if err == nil && answer != nil {
		err = json.Unmarshal(line, answer)
	}
	if err != nil {
		child.kill()
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("start as %s: %w: %s", p.Role, err, child.tail)
	}
	return child, nil
}
