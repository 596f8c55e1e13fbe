package nsq

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	gonsq "github.com/nsqio/go-nsq"

	"github.com/deis/logger/sdk"
)

// Settings declares the environment variables that the plugin takes.
type Settings struct {
	Host string `env:"DEIS_NSQD_SERVICE_HOST" doc:"host of nsqd; empty means localhost"`
	Port int    `env:"DEIS_NSQD_SERVICE_PORT_TRANSPORT" default:"4150" min:"1" max:"65535" doc:"TCP port of nsqd"`
	HTTP int    `env:"DEIS_NSQD_SERVICE_PORT_HTTP" default:"4151" min:"0" max:"65535" doc:"HTTP port of nsqd, and of each in NSQ_NSQD_ADDRS, to ask what waits there; of others nsqlookupd says it; 0: none is asked"`

	NSQDs    string `env:"NSQ_NSQD_ADDRS" doc:"several nsqd instead of that one: host:port of their TCP side, comma-separated"`
	Lookupds string `env:"NSQ_LOOKUPD_ADDRS" doc:"nsqlookupd that know where the topic is: host:port of their HTTP side, comma-separated; only NSQ_NSQD_ADDRS counts beside them"`

	Topic   string `env:"NSQ_TOPIC" default:"logs" doc:"topic to consume; lines can be lost if it ends in #ephemeral"`
	Channel string `env:"NSQ_CHANNEL" default:"consume" doc:"channel of the topic; consumers of one channel share its messages; lines can be lost if it ends in #ephemeral"`

	// Handlers counts batches, not goroutines: messages come in by one goroutine a
	// connection and go out by one, because several would reorder an app's lines.
	Handlers int `env:"NSQ_HANDLER_COUNT" default:"30" min:"1" max:"10000" doc:"most batches of messages that may be under way to storage at once; order is kept whatever the number"`

	// MaxInFlight is nsqd's own default limit. Throughput is this
	// number divided by the time that storing takes; what a crash makes nsqd deliver
	// again, late, is at most this number too.
	MaxInFlight int `env:"NSQ_MAX_IN_FLIGHT" default:"2500" min:"1" max:"1000000" doc:"most messages taken from all nsqd and not yet acknowledged; nsqd's --max-rdy-count bounds it too"`

	// MessageTimeout is short because nsqd notices a dead consumer only by it. Messages that merely
	// wait long are touched, and so not affected.
	MessageTimeout time.Duration `env:"NSQ_MSG_TIMEOUT_SECONDS" default:"10" min:"1" max:"900" doc:"seconds after which nsqd delivers the messages of a dead consumer again"`

	TLS           bool   `env:"NSQ_TLS" doc:"talk TLS to nsqd, and to no nsqd that has none"`
	TLSCAFile     string `env:"NSQ_TLS_CA_FILE" doc:"PEM file of the authorities that nsqd's certificate is checked against; empty means the system's"`
	TLSCertFile   string `env:"NSQ_TLS_CERT_FILE" doc:"PEM file of the certificate to show to nsqd"`
	TLSKeyFile    string `env:"NSQ_TLS_KEY_FILE" doc:"PEM file of its key"`
	TLSSkipVerify bool   `env:"NSQ_TLS_SKIP_VERIFY" doc:"do not check nsqd's certificate: whoever is in between can read and change everything"`

	AuthSecret  string `env:"NSQ_AUTH_SECRET" secret:"true" doc:"secret for an nsqd that wants AUTH"`
	Compression string `env:"NSQ_COMPRESSION" default:"none" oneof:"none deflate snappy" doc:"compression of what nsqd sends, for a slow network; costs both sides CPU"`
}

// addrs returns the addresses in the settings: the nsqd to connect to in any case, and the
// nsqlookupd.
func (s *Settings) addrs() (nsqds []address, lookupds []string, err error) {
	if lookupds, err = splitAddrs("NSQ_LOOKUPD_ADDRS", s.Lookupds); err != nil {
		return nil, nil, err
	}
	named, err := splitAddrs("NSQ_NSQD_ADDRS", s.NSQDs)
	if err != nil {
		return nil, nil, err
	}
	if len(named) == 0 && len(lookupds) == 0 {
		host := s.Host
		if host == "" {
			host = "localhost"
		}
		named = []string{net.JoinHostPort(host, strconv.Itoa(s.Port))}
	}
	for _, addr := range named {
		one := address{tcp: addr}
		if host, _, err := net.SplitHostPort(addr); err == nil && s.HTTP > 0 {
			one.http = net.JoinHostPort(host, strconv.Itoa(s.HTTP))
		}
		nsqds = append(nsqds, one)
	}
	return nsqds, lookupds, nil
}

// splitAddrs reads a comma-separated list of addresses. It returns each address once.
func splitAddrs(env, text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var out []string
	for addr := range strings.SplitSeq(text, ",") {
		addr = strings.TrimSpace(addr)
		if !isAddr(addr) {
			return nil, sdk.Refusef("%s=%.200q: want host:port, or several with commas between", env, text)
		}
		if !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	return out, nil
}

// isAddr reports whether addr is a host:port that can be dialled.
func isAddr(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" || strings.ContainsAny(host, "/ \t@") {
		return false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// check refuses what the declarations of settings cannot refuse.
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

// ephemeral is the end of the name of a topic or channel that nsqd keeps in memory alone.
const ephemeral = "#ephemeral"

// warn logs which settings weaken the promise that no line is lost.
func (s *Settings) warn(logger hclog.Logger) {
	for _, one := range []struct{ env, name string }{{"NSQ_TOPIC", s.Topic}, {"NSQ_CHANNEL", s.Channel}} {
		if strings.HasSuffix(one.name, ephemeral) {
			logger.Warn("lines can be lost: nsqd drops what waits here when the last consumer leaves, when nsqd stops, and beyond its --mem-queue-size",
				"setting", one.env, "value", one.name, "instead", strings.TrimSuffix(one.name, ephemeral))
		}
	}
}
