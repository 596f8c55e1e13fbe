// Package level finds the level that a line of a log states: in JSON, in logfmt, or by a word at
// its beginning, where the loggers of many languages write one.
//
// Only the form of a line counts. "ERROR: no space" and "[error] no space" state a level; "no error
// found" and "error_count=0" do not, and neither does text that a message quotes. A line that
// states no level has none. The stream says nothing about the level, since many programs write
// everything to stderr.
//
// The functions of this package allocate nothing, and read a text at most twice.
package level
