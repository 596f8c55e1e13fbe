package host

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/sdk"
)

func TestGate(t *testing.T) {
	for name, tc := range map[string]struct {
		other  error // result of the other plugin's check
		after  time.Duration
		waits  time.Duration
		atStop bool // the wait ends only with the host
	}{
		"both are good":         {nil, time.Second, time.Second, false},
		"the other cannot run":  {errors.New("exec format error"), time.Second, time.Second, false},
		"the other hangs":       {nil, time.Hour, gatePatience, false},
		"the other is refused":  {sdk.ErrInvalid, time.Second, time.Minute, true},
		"it is refused at once": {sdk.ErrInvalid, 0, time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				g := newGate(2)
				time.AfterFunc(tc.after, func() { g.arrive(ctx, tc.other) })
				began := time.Now()
				g.arrive(ctx, nil)
				if took := time.Since(began); took != tc.waits || (ctx.Err() != nil) != tc.atStop {
					t.Errorf("it waited %s, want %s", took, tc.waits)
				}
				cancel()
				<-time.After(2 * time.Hour) // time of the bubble: the late plugin arrives meanwhile
			})
		})
	}
}
