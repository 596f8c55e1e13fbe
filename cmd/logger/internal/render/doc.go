// Package render makes of the records of a log what a person or a program reads. Text
// of an app is data: whatever in it a terminal would obey is taken out.
package render
