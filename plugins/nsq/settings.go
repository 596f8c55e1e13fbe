package nsq

import (
	"net"
	"strconv"
	"time"

	gonsq "github.com/nsqio/go-nsq"

	"github.com/deis/logger/sdk"
)

// Settings are the environment variables that the plugin takes.
type Settings struct {
	Host string `env:"DEIS_NSQD_SERVICE_HOST" doc:"host of nsqd; empty means localhost"`
	Port int    `env:"DEIS_NSQD_SERVICE_PORT_TRANSPORT" default:"4150" min:"1" max:"65535" doc:"TCP port of nsqd"`

	Topic   string `env:"NSQ_TOPIC" default:"logs" doc:"topic to consume"`
	Channel string `env:"NSQ_CHANNEL" default:"consume" doc:"channel of the topic; consumers of one channel share its messages"`

	// Handlers counts batches, not goroutines: messages come in by one goroutine
	// and go out by one, because several would reorder an app's lines.
	Handlers int `env:"NSQ_HANDLER_COUNT" default:"30" min:"1" max:"10000" doc:"most batches of messages that may be under way to storage at once; order is kept whatever the number"`

	// MaxInFlight stays below nsqd's own default limit, 2500. Throughput is this
	// number divided by the time that storing takes; what a crash makes nsqd deliver
	// again, late, is at most this number too.
	MaxInFlight int `env:"NSQ_MAX_IN_FLIGHT" default:"2000" min:"1" max:"1000000" doc:"most messages taken from nsqd and not yet acknowledged; nsqd's --max-rdy-count bounds it too"`

	// MessageTimeout is short because a consumer that died is only known by it.
	// What merely waits long is touched, and so not affected.
	MessageTimeout time.Duration `env:"NSQ_MSG_TIMEOUT_SECONDS" default:"10" min:"1" max:"900" doc:"seconds after which nsqd delivers the messages of a dead consumer again"`
}

func (s *Settings) addr() string {
	host := s.Host
	if host == "" {
		host = "localhost"
	}
	return net.JoinHostPort(host, strconv.Itoa(s.Port))
}

// check refuses what the declaration of a setting cannot.
func (s *Settings) check() error {
	const accepts = "1 to 64 of a-z A-Z 0-9 . _ -, then #ephemeral or not"
	if !gonsq.IsValidTopicName(s.Topic) {
		return sdk.Refusef("NSQ_TOPIC=%.100q: want %s", s.Topic, accepts)
	}
	if !gonsq.IsValidChannelName(s.Channel) {
		return sdk.Refusef("NSQ_CHANNEL=%.100q: want %s", s.Channel, accepts)
	}
	return nil
}
