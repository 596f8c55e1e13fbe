package doctor

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

const (
	// leastSecret is the length from which on a secret's value does not stand in a text by
	// chance, and leastWord the same for one that could be a word or a number.
	leastSecret = 8
	leastWord   = 16
)

// mask stands for a secret's value.
const mask = "********"

// maskable says whether a secret can be masked by replacing it. One that is short, or a
// plain word, stands in what is printed anyway: to replace it there would spell it, for
// everybody knows what stood in the gaps.
func maskable(secret string) bool {
	plain := strings.IndexFunc(secret, func(c rune) bool { return !unicode.IsLower(c) }) < 0 ||
		strings.IndexFunc(secret, func(c rune) bool { return !unicode.IsUpper(c) }) < 0 ||
		strings.IndexFunc(secret, func(c rune) bool { return !unicode.IsDigit(c) }) < 0
	return len(secret) >= leastWord || len(secret) >= leastSecret && !plain
}

// keepSecret makes sure that a value is never printed, if it is one that can be masked.
func (r *Report) keepSecret(value string) {
	if !maskable(value) || slices.Contains(r.secrets, value) {
		return
	}
	r.secrets = append(r.secrets, value)
	// The longest first: of one that begins with another, the rest would stay.
	slices.SortFunc(r.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
}
