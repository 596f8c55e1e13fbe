package plugin

import (
	"fmt"
	"time"

	"github.com/deis/logger/sdk"
)

// State says where a supervised plugin stands.
type State string

// The states of a plugin.
const (
	// Starting: a process is being launched and configured.
	Starting State = "starting"
	// Ready: the process answers and its backend serves.
	Ready State = "ready"
	// Degraded: the process answers, and says that its backend does not serve, or its calls
	// fail again and again.
	Degraded State = "degraded"
	// BackingOff: the process ended; the next attempt waits its turn.
	BackingOff State = "backing off"
	// Failed: attempt after attempt ended; they go on, ever more slowly.
	Failed State = "failed"
	// Stopped: the host has ended the plugin.
	Stopped State = "stopped"
)

// States returns all states.
func States() []State { return []State{Starting, Ready, Degraded, BackingOff, Failed, Stopped} }

// Serving reports whether calls reach a process in this state.
func (s State) Serving() bool { return s == Ready || s == Degraded }

// Status holds what an operator learns of a plugin.
type Status struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	// Protocol is the version of the contract that its process speaks with this host.
	Protocol int       `json:"protocol,omitempty"`
	State    State     `json:"state"`
	Reason   string    `json:"reason,omitempty"`
	Since    time.Time `json:"since"`
	PID      int       `json:"pid,omitempty"`
	// Restarts counts the processes that ended without being told to.
	Restarts uint64 `json:"restarts"`
	// Settings has a [Fingerprint] of each setting that the plugin was given, so that
	// another environment can be told from the host's. Secrets have none.
	Settings map[string]string `json:"settings,omitempty"`
}

// DownError fails calls while no process serves them. It wraps [sdk.ErrUnavailable], and tells a
// plugin that is away from a call that failed.
type DownError struct{ Status Status }

// Error names the plugin, its state and why.
func (e *DownError) Error() string {
	text := fmt.Sprintf("%s plugin %s is %s", e.Status.Kind, e.Status.Name, e.Status.State)
	if e.Status.Reason != "" {
		text += ": " + e.Status.Reason
	}
	return text
}

// Unwrap returns [sdk.ErrUnavailable].
func (e *DownError) Unwrap() error { return sdk.ErrUnavailable }
