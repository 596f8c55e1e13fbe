package level

import "github.com/deis/logger/sdk"

// use says in which places of a line's head a word is a level.
type use uint8

const (
	// common words are levels in every form.
	common use = iota
	// marked words are levels only with a colon, a bar or brackets: ordinary text has them too
	// often.
	marked
	// neutral words are not levels, but may stand before one: parts of dates, and names of programs
	// that write a level after their name.
	neutral
)

// longestWord is the number of letters of the longest word.
const longestWord = 13

// lookup returns the level of a word in lower case.
func lookup(word string) (sdk.Level, use) {
	switch word {
	case "trace", "trc", "trac", "trce", "vrb", "silly":
		return sdk.LevelTrace, common
	case "finer", "finest":
		return sdk.LevelTrace, marked
	case "debug", "dbg", "debu", "dbug", "verbose":
		return sdk.LevelDebug, common
	case "fine":
		return sdk.LevelDebug, marked
	case "info", "inf", "information", "informational", "notice", "success":
		return sdk.LevelInfo, common
	case "note", "log":
		return sdk.LevelInfo, marked
	case "warn", "warning", "wrn":
		return sdk.LevelWarn, common
	case "error", "err", "erro", "eror", "severe":
		return sdk.LevelError, common
	case "fail":
		return sdk.LevelError, marked
	case "fatal", "fata", "ftl", "critical", "crit", "panic", "pani", "dpanic", "alert", "emerg", "emergency":
		return sdk.LevelFatal, common
	case "mon", "tue", "wed", "thu", "fri", "sat", "sun",
		"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
		"am", "pm", "utc", "gmt", "cet", "cest", "est", "edt", "pst", "pdt",
		"npm", "php":
		return sdk.LevelUnknown, neutral
	}
	return sdk.LevelUnknown, common
}

// named returns the level that a field's value names, in letters of any case.
func named(value string) sdk.Level {
	var folded [longestWord]byte
	for len(value) > 0 && value[len(value)-1] == ' ' { // some loggers pad it
		value = value[:len(value)-1]
	}
	if len(value) > len(folded) {
		return sdk.LevelUnknown
	}
	for i := range len(value) {
		folded[i] = value[i] | 0x20
	}
	l, _ := lookup(string(folded[:len(value)]))
	return l
}

// severity returns the level of a syslog severity: 0 is an emergency, 7 is for debugging.
func severity(n int) sdk.Level {
	switch n {
	case 0, 1, 2:
		return sdk.LevelFatal
	case 3:
		return sdk.LevelError
	case 4:
		return sdk.LevelWarn
	case 5, 6:
		return sdk.LevelInfo
	default:
		return sdk.LevelDebug
	}
}

// initial returns the level that one letter stands for in klog, Rails and MongoDB.
func initial(c byte) sdk.Level {
	switch c {
	case 'D':
		return sdk.LevelDebug
	case 'I':
		return sdk.LevelInfo
	case 'W':
		return sdk.LevelWarn
	case 'E':
		return sdk.LevelError
	case 'F':
		return sdk.LevelFatal
	default:
		return sdk.LevelUnknown
	}
}
