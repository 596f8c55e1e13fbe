package plugin

import "strings"

// userinfoMask stands for a user and password in an address.
const userinfoMask = "********"

// Userinfo returns the users and passwords in an address, or in a list of addresses: everything
// between the first scheme, or the beginning, and the last @. A password may have commas and
// slashes, so the addresses in between count too. It returns "" if there are none, as in
// something@somewhere, which has neither a scheme nor a password.
func Userinfo(value string) string {
	end := strings.LastIndexByte(value, '@')
	if end < 0 {
		return ""
	}
	info := value[:end]
	if _, after, ok := strings.Cut(info, "://"); ok {
		return after
	}
	if strings.Contains(info, ":") {
		return info
	}
	return ""
}

// MaskUserinfo returns a setting's value as it may be shown: some users keep a password in an
// address, though there is a secret setting for it.
func MaskUserinfo(value string) string {
	info := Userinfo(value)
	if info == "" {
		return value
	}
	end := strings.LastIndexByte(value, '@')
	return value[:end-len(info)] + userinfoMask + value[end:]
}
