package cli

import "strings"

// Nearest returns the one of words that is likely meant by word; empty if none is near.
func Nearest(word string, words []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, w := range words {
		d := distance(strings.ToLower(word), strings.ToLower(w))
		if len(word) >= 2 && strings.HasPrefix(w, word) {
			d = min(d, 1)
		}
		if d < least {
			best, least = w, d
		}
	}
	return best
}

// maxWord bounds the length of words to compare: nobody mistypes a longer one.
const maxWord = 100

// distance returns how many letters to add, leave out, replace or swap with their neighbour to turn
// one word into the other.
func distance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return 2 * maxWord
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			replace := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, replace)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
