package cli

import (
	"bytes"
	"context"
	_ "embed" // for the scripts
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/deis/logger/client"
)

const completionHelp = `Print a script that completes commands, flags and the names of apps, which it asks the logger for.

usage: logger completion bash|zsh|fish

  bash   source <(logger completion bash)             in ~/.bashrc
  zsh    source <(logger completion zsh)              in ~/.zshrc, after compinit
  fish   logger completion fish >~/.config/fish/completions/logger.fish
`

//go:embed completion.bash
var bashScript string

//go:embed completion.zsh
var zshScript string

//go:embed completion.fish
var fishScript string

var scripts = map[string]string{"bash": bashScript, "zsh": zshScript, "fish": fishScript}

var shells = []string{"bash", "zsh", "fish"}

func completion(_ context.Context, s *System, args []string) error {
	fs := newFlags("completion")
	if err := parse(fs, args, nil); err != nil {
		return err
	}
	var shell string
	if fs.NArg() != 1 {
		return usagef("which shell? logger completion %s", strings.Join(shells, "|"))
	}
	if err := (choice{&shell, shells}).Set(fs.Arg(0)); err != nil {
		return usagef("shell %q: %v", fs.Arg(0), err)
	}
	_, err := io.WriteString(s.Stdout, scriptFor(shell, s.called()))
	return err
}

// scriptFor returns the script that completes the program of that name.
func scriptFor(shell, name string) string {
	return strings.NewReplacer(
		"complete -F _logger_complete logger\n", "complete -F _logger_complete "+name+"\n",
		"complete -c logger ", "complete -c "+name+" ",
		"#compdef logger\n", "#compdef "+name+"\n",
		"compdef _logger logger\n", "compdef _logger "+name+"\n",
	).Replace(scripts[shell])
}

// completeTimeout is how long a completion waits for the names of apps.
const completeTimeout = time.Second

// candidate holds a word that the last word may become, and what the word is about.
type candidate struct{ word, about string }

// wantFile stands for the names of files, which the shell completes itself.
const wantFile = ":file"

// complete prints what the last of the words may become: on each line a candidate, a tab, and what
// it is about. It prints no errors, which would spoil the prompt.
func complete(ctx context.Context, s *System, words []string) {
	if len(words) == 0 {
		return
	}
	var out bytes.Buffer
	for _, c := range candidates(ctx, s, joinValues(words)) {
		_, _ = fmt.Fprintln(&out, c.word+"\t"+c.about)
	}
	_, _ = s.Stdout.Write(out.Bytes())
}

// joinValues joins --flag=value again, which bash splits into three words.
func joinValues(words []string) []string {
	var out []string
	for i := 0; i < len(words); i++ {
		if n := len(out) - 1; n > 0 && words[i] == "=" && strings.HasPrefix(out[n], "--") {
			value := ""
			if i+1 < len(words) {
				i++
				value = words[i]
			}
			out[n] += "=" + value
			continue
		}
		out = append(out, words[i])
	}
	return out
}

func candidates(ctx context.Context, s *System, words []string) []candidate {
	last := words[len(words)-1]
	if len(words) == 1 {
		return matching(last, []candidate{
			{"tail", "print an app's lines, follow them"},
			{"apps", "list the apps that have lines"},
			{"delete", "delete an app's lines"},
			{"serve", "run the logger"},
			{"dev", "run the logger with a queue of its own"},
			{"doctor", "say why there are no lines"},
			{"plugins", "list the installed plugins, check one, begin one"},
			{"completion", "print a shell's completion script"},
			{"version", "print the version"},
			{"help", "print help"},
		})
	}
	if words[0] == "completion" {
		return matching(last, plain(shells))
	}
	if words[0] == "plugins" {
		return pluginCandidates(words[1:])
	}
	if words[0] == "doctor" && len(words) == 2 {
		return matching(last, appNames(ctx, s, &connection{}))
	}
	for _, c := range commands() {
		if c.name == words[0] {
			return commandCandidates(ctx, s, c, words[1:len(words)-1], last)
		}
	}
	return nil
}

// pluginCandidates returns what the last of the words after "plugins" may become.
func pluginCandidates(words []string) []candidate {
	last, before := words[len(words)-1], words[:len(words)-1]
	switch {
	case len(before) == 0:
		return matching(last, []candidate{{"check", "run the conformance suite on a plugin"}, {"new", "begin a plugin"}})
	case before[0] == "check" && strings.Contains(last, "/"):
		return []candidate{{wantFile, ""}}
	case before[0] != "new":
		return nil
	}
	languages := plain([]string{"go", "python", "node"})
	if value, ok := strings.CutPrefix(last, "--lang="); ok {
		return matching(value, languages)
	}
	switch previous := before[len(before)-1]; {
	case previous == "--lang":
		return matching(last, languages)
	case previous == "--sdk":
		return []candidate{{wantFile, ""}}
	case strings.HasPrefix(last, "-"):
		return matching(last, []candidate{{"--lang", "go, python or node"}, {"--sdk", "a checkout of logger, for Go"}})
	case len(before) == 1:
		return matching(last, plain([]string{"storage", "aggregator"}))
	default:
		return nil
	}
}

func commandCandidates(ctx context.Context, s *System, c command, before []string, last string) []candidate {
	fs := c.flags()
	if name, value, ok := strings.Cut(last, "="); ok && strings.HasPrefix(name, "--") {
		return matching(value, values(fs.Lookup(name[2:])))
	}
	if len(before) > 0 {
		if f := awaits(fs, before[len(before)-1]); f != nil {
			return matching(last, values(f))
		}
	}
	if strings.HasPrefix(last, "-") {
		var all []candidate
		fs.VisitAll(func(f *pflag.Flag) { all = append(all, candidate{"--" + f.Name, f.Usage}) })
		return matching(last, all)
	}
	fs.ParseErrorsAllowlist.UnknownFlags = true
	_ = fs.Parse(before) // half a command may be wrong
	if c.name == "delete" && fs.NArg() > 0 {
		return nil // it has its app
	}
	conn := connection{server: fs.Lookup("server").Value.String(), tokenFile: fs.Lookup("token-file").Value.String()}
	names := matching(last, appNames(ctx, s, &conn))
	if c.name == "tail" {
		names = slices.DeleteFunc(names, func(given candidate) bool { return slices.Contains(fs.Args(), given.word) })
	}
	return names
}

// awaits returns the flag whose value the next word is, if any.
func awaits(fs *pflag.FlagSet, word string) *pflag.Flag {
	var f *pflag.Flag
	switch {
	case strings.Contains(word, "="):
		return nil
	case strings.HasPrefix(word, "--"):
		f = fs.Lookup(word[2:])
	case len(word) == 2 && word[0] == '-':
		f = fs.ShorthandLookup(word[1:])
	}
	if f == nil || f.NoOptDefVal != "" {
		return nil
	}
	return f
}

// values returns the values that a flag accepts; none if it takes any text.
func values(f *pflag.Flag) []candidate {
	if f == nil {
		return nil
	}
	if c, ok := f.Value.(choice); ok {
		return plain(c.accepts)
	}
	switch f.Name {
	case "source":
		return plain(sourceWords)
	case "stream":
		return plain(streamWords)
	case "since", "until":
		return []candidate{{"5m", "5 minutes ago"}, {"1h", "an hour ago"}, {"1d", "a day ago"}}
	case "lines", "tail":
		return []candidate{{"0", "only new ones"}, {"100", "the newest hundred"}, {"-1", "all"}}
	case "token-file":
		return []candidate{{wantFile, ""}}
	default:
		return nil
	}
}

func plain(words []string) []candidate {
	out := make([]candidate, len(words))
	for i, w := range words {
		out[i].word = w
	}
	return out
}

func matching(prefix string, all []candidate) []candidate {
	var out []candidate
	for _, c := range all {
		if c.word == wantFile || strings.HasPrefix(c.word, prefix) {
			out = append(out, c)
		}
	}
	return out
}

// appNames returns the names of apps that a shell takes without quotes.
func appNames(ctx context.Context, s *System, conn *connection) []candidate {
	api, err := conn.client(s)
	if err != nil {
		return nil
	}
	defer api.Close()
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	list, err := api.Apps(ctx)
	if err != nil {
		return nil
	}
	var out []candidate
	for _, a := range list {
		if client.ValidApp(a.Name) {
			out = append(out, candidate{a.Name, fmt.Sprintf("%d lines", a.Entries)})
		}
	}
	return out
}
