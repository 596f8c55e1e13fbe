package sdk

// Level says how serious an entry is. A higher level is more serious.
type Level uint8

// The levels of entries, as numbered in logger.plugin.v1.Level.
const (
	// LevelUnknown is the zero value: the entry states no level.
	LevelUnknown Level = 0
	LevelTrace   Level = 1
	LevelDebug   Level = 2
	LevelInfo    Level = 3
	LevelWarn    Level = 4
	LevelError   Level = 5
	LevelFatal   Level = 6
)

// String returns the name used in JSON and filters, from "trace" to "fatal", or "unknown".
func (l Level) String() string {
	switch l {
	case LevelTrace:
		return "trace"
	case LevelDebug:
		return "debug"
	case LevelInfo:
		return "info"
	case LevelWarn:
		return "warn"
	case LevelError:
		return "error"
	case LevelFatal:
		return "fatal"
	default:
		return "unknown"
	}
}

// levelOf returns the level of a number on the wire, LevelUnknown for a number that it does not
// know.
func levelOf(n uint64) Level {
	if n > uint64(LevelFatal) {
		return LevelUnknown
	}
	return Level(n)
}

// ParseLevel returns the level of that name. It fails with [ErrInvalid] for any other text,
// "unknown" included.
func ParseLevel(name string) (Level, error) {
	for l := LevelTrace; l <= LevelFatal; l++ {
		if l.String() == name {
			return l, nil
		}
	}
	return LevelUnknown, Refusef("level=%.40q: want trace, debug, info, warn, error or fatal", name)
}
