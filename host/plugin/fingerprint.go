package plugin

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/deis/logger/sdk"
)

// Fingerprint tells values of one setting apart without revealing them. It is of no use for
// guessing: it can only ever give away its 16 bits, and one of 65,536 pairs of different values has
// the same. Still, it is not for secrets: of a bad password 16 bits are a lot.
func Fingerprint(env, value string) string {
	sum := sha256.Sum256([]byte(env + "\x00" + value))
	return hex.EncodeToString(sum[:2])
}

// fingerprints returns the fingerprints of a plugin's values, without its secrets.
func fingerprints(settings []sdk.Setting, values map[string]string) map[string]string {
	prints := map[string]string{}
	for _, s := range settings {
		if !s.Secret {
			prints[s.Env] = Fingerprint(s.Env, values[s.Env])
		}
	}
	return prints
}
