// Package pluginpb is the contract on the wire, generated from plugin.proto.
package pluginpb

import _ "embed"

// Proto is the text of plugin.proto, the contract for other languages.
//
//go:embed proto/logger/plugin/v1/plugin.proto
var Proto string
