// Package page tests the page in a real browser, at a real logger.
package page
