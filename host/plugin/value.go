package plugin

import (
	"strings"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/sdk"
)

// fileSuffix ends the name of the variable that names a file with a setting's value.
const fileSuffix = "_FILE"

// Value returns the checked value of a plugin's setting, as [sdk.Setting.Value] does, of what
// [Given] returns.
func Value(s sdk.Setting, lookup func(env string) (string, bool)) (string, error) {
	text, err := Given(s.Env, lookup)
	if err != nil {
		return "", err
	}
	return s.Value(func(string) (string, bool) { return text, text != "" })
}

// Given returns what the environment says of a setting: the value of the variable, or
// what is in the file that the variable of that name with the suffix _FILE names, without the
// newlines at its end. It returns "" if neither is set, and an error that wraps [sdk.ErrInvalid]
// if both are or the file cannot be read.
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
