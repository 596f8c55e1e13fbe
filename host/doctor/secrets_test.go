package doctor

import "testing"

// TestMasking: a secret is masked wherever it occurs, unless the masks would reveal it.
func TestMasking(t *testing.T) {
	const text = "redis at 10.0.0.1:6379 is unavailable: password a, WRONGPASS"
	for _, tc := range []struct {
		name    string
		secrets []string
		text    string
		want    string
	}{
		{"none", []string{""}, text, text},
		{"a letter", []string{"a"}, text, text},
		{"three letters", []string{"dis"}, text, text},
		{"seven characters", []string{"t 10.0."}, text, text},
		{"a word of the text", []string{"password"}, text, text},
		{"another, in capitals", []string{"WRONGPASS"}, text, text},
		{"a number", []string{"12345678"}, "12345678 bytes", "12345678 bytes"},
		{"eight mixed characters", []string{"hunter22"}, "AUTH hunter22: refused", "AUTH ********: refused"},
		{"a long word", []string{"correcthorsebatterystaple"}, "x=correcthorsebatterystaple", "x=********"},
		{"one that begins with another", []string{"hunter22", "hunter22-and-more"}, "AUTH hunter22-and-more, hunter22", "AUTH ********, ********"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &Report{}
			for _, secret := range tc.secrets {
				r.keepSecret(secret)
			}
			r.ok("x", "%s", tc.text)
			if got := r.last().Seen; got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
