package storagetest_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/deis/logger/sdk/plugintest"
	"github.com/deis/logger/sdk/storagetest"
)

// install makes these tests' binary the executable of a storage plugin. The file's name differs
// from the name that the plugin states.
func install(dir string) (path string, err error) {
	path = filepath.Join(dir, "logger-storage-mine")
	tests, err := os.Executable()
	if err != nil {
		return "", err
	}
	script := fmt.Sprintf("#!/bin/sh\nSTORAGETEST_PLUGIN='' exec '%s'\n", tests)
	return path, os.WriteFile(path, []byte(script), 0o700)
}

// A program can check an executable without go test. This one ends at the first check that fails.
func ExampleCheck() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path, err := install(dir)
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ok, err := storagetest.Check(ctx, path, map[string]string{"TEST_WORD": "a setting of its own"},
		func(warning string) { fmt.Println("warning:", warning) },
		func(r plugintest.Result) {
			if r.Outcome == plugintest.Failed && ctx.Err() == nil {
				why, _, _ := strings.Cut(r.Lines[0], ":")
				fmt.Printf("%s failed: %s\n", r.Check, strings.TrimPrefix(why, "the file "))
				cancel()
			}
		})
	fmt.Println(ok, err)
	// Output:
	// Describe failed: is called logger-storage-mine and the plugin logger-storage-reference
	// false <nil>
}
