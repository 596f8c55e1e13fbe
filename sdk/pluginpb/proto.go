// Package pluginpb has the messages and services of the plugin contract, generated from plugin.proto.
package pluginpb

import _ "embed"

// Proto holds the text of plugin.proto, from which other languages generate their code.
//
//go:embed proto/logger/plugin/v1/plugin.proto
var Proto string
