package doctor

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Only as much of the protocol is implemented as a look at an nsqd needs: the magic, one IDENTIFY
// and its answer. Nothing is subscribed to, so nothing is created.

// identity holds nsqd's answer to IDENTIFY.
type identity struct {
	Version      string `json:"version"`
	TLS          bool   `json:"tls_v1"`
	AuthRequired bool   `json:"auth_required"`
}

var (
	errHTTP   = errors.New("an HTTP server answers there, which nsqd's TCP port is not")
	errNotNSQ = errors.New("what answers there does not speak NSQ's protocol")
)

// maxIdentity bounds that answer, with room to spare.
const maxIdentity = 64 << 10

// identify asks an nsqd who it is.
func identify(ctx context.Context, addr string, tls bool) (id identity, err error) {
	conn, err := (&net.Dialer{Timeout: HopTimeout / 2}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return id, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(HopTimeout / 2)); err != nil {
		return id, err
	}
	about, err := json.Marshal(map[string]any{
		"client_id": "logger-doctor", "user_agent": "logger-doctor", "feature_negotiation": true, "tls_v1": tls,
	})
	if err != nil {
		return id, err
	}
	command := append([]byte("  V2IDENTIFY\n"), binary.BigEndian.AppendUint32(nil, uint32(len(about)))...)
	if _, err := conn.Write(append(command, about...)); err != nil {
		return id, err
	}
	return readIdentity(conn)
}

// readIdentity reads the answer: a size, a type of frame, and JSON.
func readIdentity(r io.Reader) (id identity, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return id, errNotNSQ // it hung up on a command that every nsqd understands
		}
		return id, err
	}
	if bytes.HasPrefix(head[:], []byte("HTTP")) {
		return id, errHTTP
	}
	size := binary.BigEndian.Uint32(head[:4])
	if size < 4 || size > maxIdentity {
		return id, errNotNSQ
	}
	body := make([]byte, size-4)
	if _, err := io.ReadFull(r, body); err != nil {
		return id, err
	}
	if binary.BigEndian.Uint32(head[4:]) != 0 {
		return id, fmt.Errorf("nsqd refuses to be asked: %.200q", body)
	}
	if json.Unmarshal(body, &id) != nil {
		return id, errNotNSQ
	}
	return id, nil
}

// topicStats and the types below hold what nsqd has counted since its start.
type topicStats struct {
	Name     string         `json:"topic_name"`
	Depth    int64          `json:"depth"`
	Messages uint64         `json:"message_count"`
	Paused   bool           `json:"paused"`
	Channels []channelStats `json:"channels"`
}

type channelStats struct {
	Name     string        `json:"channel_name"`
	Depth    int64         `json:"depth"`
	InFlight int64         `json:"in_flight_count"`
	Deferred int64         `json:"deferred_count"`
	Messages uint64        `json:"message_count"`
	Requeued uint64        `json:"requeue_count"`
	TimedOut uint64        `json:"timeout_count"`
	Paused   bool          `json:"paused"`
	Clients  []clientStats `json:"clients"`

	at    string // address of the nsqd's HTTP API
	nsqds int    // number of nsqd with the channel
}

type clientStats struct {
	Hostname  string `json:"hostname"`
	Address   string `json:"remote_address"`
	UserAgent string `json:"user_agent"`
	Finished  uint64 `json:"finish_count"`
}

// ours is the name by which the nsq plugin identifies itself.
const ours = "logger-aggregator-nsq"

// stats asks an nsqd's HTTP API for its topics. If tcpPort is set, it first makes sure that the
// nsqd has that TCP port.
func stats(ctx context.Context, addr, tcpPort string) ([]topicStats, error) {
	if tcpPort != "" {
		var info struct {
			Port int `json:"tcp_port"`
		}
		if err := getJSON(ctx, "http://"+addr+"/info", &info); err != nil {
			return nil, err
		}
		if strconv.Itoa(info.Port) != tcpPort {
			return nil, fmt.Errorf("it belongs to an nsqd with the TCP port %d, but ours has %s", info.Port, tcpPort)
		}
	}
	var answer struct {
		Topics []topicStats `json:"topics"`
	}
	if err := getJSON(ctx, "http://"+addr+"/stats?format=json&include_mem=false", &answer); err != nil {
		return nil, err
	}
	topics := answer.Topics
	for i := range topics {
		for j := range topics[i].Channels {
			topics[i].Channels[j].at = addr
		}
	}
	return topics, nil
}

// producer holds an nsqd that nsqlookupd knows.
type producer struct {
	Address  string `json:"broadcast_address"`
	TCPPort  int    `json:"tcp_port"`
	HTTPPort int    `json:"http_port"`
}

func (p producer) tcp() string  { return net.JoinHostPort(p.Address, strconv.Itoa(p.TCPPort)) }
func (p producer) http() string { return net.JoinHostPort(p.Address, strconv.Itoa(p.HTTPPort)) }

// producers asks an nsqlookupd which nsqd have the topic, and which nsqd it knows at all.
func producers(ctx context.Context, addr, topic string) (having, all []producer, err error) {
	var nodes, lookup struct {
		Producers *[]producer `json:"producers"`
	}
	if err := getJSON(ctx, "http://"+addr+"/nodes", &nodes); err != nil {
		return nil, nil, err
	}
	if nodes.Producers == nil {
		return nil, nil, errNoProducers
	}
	status, body, err := getNSQ(ctx, "http://"+addr+"/lookup?topic="+url.QueryEscape(topic))
	if err != nil {
		return nil, nil, err
	}
	// No nsqd has the topic. Versions before 1.0 answer 500.
	if status == http.StatusNotFound || status == http.StatusInternalServerError && bytes.Contains(body, []byte("TOPIC_NOT_FOUND")) {
		return nil, *nodes.Producers, nil
	}
	if err := unmarshal(status, body, &lookup); err != nil {
		return nil, nil, err
	}
	if lookup.Producers == nil {
		return nil, nil, errNoProducers
	}
	return *lookup.Producers, *nodes.Producers, nil
}

var errNoProducers = errors.New("its answer has no producers: it is not an nsqlookupd, or one of a version that is not supported")

func getJSON(ctx context.Context, target string, into any) error {
	status, body, err := getNSQ(ctx, target)
	if err != nil {
		return err
	}
	return unmarshal(status, body, into)
}

// getNSQ asks nsqd or nsqlookupd for an answer in the form of version 1.0. Older versions give that
// form on request, but wrap some answers in another object.
func getNSQ(ctx context.Context, target string) (status int, body []byte, err error) {
	header := http.Header{"Accept": {"application/vnd.nsq; version=1.0"}}
	if status, body, err = get(ctx, false, target, header); err != nil {
		return 0, nil, err
	}
	var old struct {
		Code int             `json:"status_code"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(body, &old) == nil && old.Code == http.StatusOK && len(old.Data) > 0 {
		body = old.Data
	}
	return status, body, nil
}

func unmarshal(status int, body []byte, into any) error {
	if status != http.StatusOK {
		return fmt.Errorf("it answers %d", status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return errors.New("its answer is not the JSON that it should be")
	}
	return nil
}
