package doctor

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

const (
	// leastSecret is the length from which a secret's value does not occur in a text by chance.
	// leastWord is that length for a value that could be a word or a number.
	leastSecret = 8
	leastWord   = 16
)

// mask replaces a secret's value.
const mask = "********"

// maskable reports whether replacing a secret hides it. A short secret or a plain word also occurs
// in ordinary text: masks in that text would reveal the secret, because everybody knows which word
// is missing.
func maskable(secret string) bool {
	plain := strings.IndexFunc(secret, func(c rune) bool { return !unicode.IsLower(c) }) < 0 ||
		strings.IndexFunc(secret, func(c rune) bool { return !unicode.IsUpper(c) }) < 0 ||
		strings.IndexFunc(secret, func(c rune) bool { return !unicode.IsDigit(c) }) < 0
	return len(secret) >= leastWord || len(secret) >= leastSecret && !plain
}

// keepSecret makes sure that a value is never printed, if it can be masked.
func (r *Report) keepSecret(value string) {
	if !maskable(value) || slices.Contains(r.secrets, value) {
		return
	}
	r.secrets = append(r.secrets, value)
	// The longest comes first: if one secret begins with another, masking the shorter one would
	// leave the rest.
	slices.SortFunc(r.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}
