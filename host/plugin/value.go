package plugin

import (
	"strings"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/sdk"
)

// fileSuffix ends the name of the variable that names a file with a setting's value.
const fileSuffix = "_FILE"

// Value returns the value of a plugin's setting: what [Given] returns, checked by
// [sdk.Setting.Value].
func Value(s sdk.Setting, lookup func(env string) (string, bool)) (string, error) {
	text, err := Given(s.Env, lookup)
	if err != nil {
		return "", err
	}
	return s.Value(func(string) (string, bool) { return text, text != "" })
}

// Given returns what the environment says of a setting: the value of its variable, or the contents,
// without newlines at the end, of the file that the variable with the suffix _FILE names. It
// returns "" if neither is set. It fails with an error that wraps [sdk.ErrInvalid] if both are set
// or the file cannot be read.
func Given(env string, lookup func(env string) (string, bool)) (string, error) {
	text, _ := lookup(env)
	path, _ := lookup(env + fileSuffix)
	switch {
	case path == "":
		return text, nil
	case text != "":
		return "", sdk.Refusef("%s and %s%s are both set: want one of them", env, env, fileSuffix)
	}
	b, err := access.ReadFile(path)
	if err != nil {
		return "", sdk.Refusef("%s%s=%.200q: want a file with the value: %v", env, fileSuffix, path, err)
	}
	return strings.TrimRight(string(b), "\r\n"), nil
}
