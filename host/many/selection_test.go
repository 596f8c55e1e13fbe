package many

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/deis/logger/sdk"
)

func TestSelection(t *testing.T) {
	for _, tc := range []struct {
		values  []string
		matches string // which of the apps below
		text    string
	}{
		{[]string{"foo"}, "foo", "foo"},
		{[]string{"foo,bar", " foo "}, "bar foo", "bar,foo"},
		{[]string{"*"}, "bar foo shop-a shop-b web.shop x", "*"},
		{[]string{"shop-*", "foo"}, "foo shop-a shop-b", "foo,shop-*"},
		{[]string{"*shop*"}, "shop-a shop-b web.shop", "*shop*"},
		{[]string{"*shop"}, "web.shop", "*shop"},
		{[]string{"s*-*b"}, "shop-b", "s*-*b"},
		{[]string{"**"}, "bar foo shop-a shop-b web.shop x", "**"},
		{[]string{"*o*o*"}, "foo", "*o*o*"},
		{[]string{"fo*o*o"}, "", "fo*o*o"},
		{[]string{"-*"}, "", "-*"},
	} {
		s, err := ParseSelection(tc.values)
		if err != nil {
			t.Errorf("%q: %v", tc.values, err)
			continue
		}
		var got []string
		for _, app := range []string{"bar", "foo", "shop-a", "shop-b", "web.shop", "x"} {
			if s.Match(app) {
				got = append(got, app)
			}
		}
		if strings.Join(got, " ") != tc.matches || s.String() != tc.text {
			t.Errorf("%q matches %q, %q", tc.values, got, s.String())
		}
	}
	many := make([]string, MaxApps+1)
	patterns := make([]string, maxPatterns+1)
	for i := range many {
		many[i] = fmt.Sprintf("app-%d", i)
	}
	for i := range patterns {
		patterns[i] = fmt.Sprintf("app-%d*", i)
	}
	for _, values := range [][]string{nil, {""}, {","}, {"-foo"}, {"foo bar"}, {"a/*"}, {"shop-?"}, {"ä*"}, {strings.Repeat("a", 253) + "*"}, many, patterns} {
		if s, err := ParseSelection(values); !errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("%.80q is taken for %.80q, %v", values, s.String(), err)
		}
	}
}

// FuzzMatch compares patterns with regular expressions.
func FuzzMatch(f *testing.F) {
	f.Add("a*b", "aab")
	f.Add("*a*a", "aa")
	f.Add("*a*a*", "aa")
	f.Add("**", "")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 50 || strings.Contains(name, "\n") {
			return
		}
		e, err := regexp.Compile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$")
		if err != nil || !strings.Contains(pattern, "*") {
			return // it is not UTF-8
		}
		if got := Match(pattern, name); strings.ToValidUTF8(name, "") == name && got != e.MatchString(name) {
			t.Errorf("Match(%q, %q) is %t", pattern, name, got)
		}
	})
}
