// Command roots writes the certificate authorities that the image trusts, as PEM. They come from
// Mozilla's list, in the version that go.mod pins, so every build has the same ones.
package main

import (
	"encoding/pem"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	for root := range bundle.Roots() {
		if err := pem.Encode(os.Stdout, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			_, _ = os.Stderr.WriteString("roots: " + err.Error() + "\n")
			os.Exit(1)
		}
	}
}
