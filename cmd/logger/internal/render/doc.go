// Package render turns the records of a log into text for a person or a program. Text of an app is
// data: whatever a terminal would obey is removed from it.
package render
