package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// loggerView holds what a running logger tells of itself.
type loggerView struct {
	url     string
	err     error   // why it could not be asked
	away    Finding // what is told in that case
	plugins []plugin.Status
	metrics map[string]*dto.MetricFamily // nil if not known
	apps    []appView
	appsErr error
	// status is the answer to GET /logs/{app}, which the controller also asks; 0 if it was not
	// asked.
	status int
	reason string
}

type appView struct {
	App     string
	Entries uint64
	Newest  *time.Time
}

// maxBody bounds what is read of an answer.
const maxBody = 64 << 20

// get requests a document. It follows no redirect, which would lead to another server.
func get(ctx context.Context, proxy bool, target string, header http.Header) (status int, body []byte, err error) {
	transport := &http.Transport{DisableKeepAlives: true}
	if proxy {
		transport.Proxy = http.ProxyFromEnvironment
	}
	client := &http.Client{
		Transport:     transport,
		Timeout:       HopTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	maps.Copy(req.Header, header)
	resp, err := client.Do(req)
	if err != nil {
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // without the URL, which may have a password
		}
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode, body, err
}

// loggerURL returns the URL of the running logger.
func (d *doctor) loggerURL() (string, error) {
	if text := d.env("LOGGER_URL"); text != "" {
		if !strings.Contains(text, "://") {
			text = "http://" + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" {
			return "", errors.New("LOGGER_URL is not a URL")
		}
		if password, ok := u.User.Password(); ok {
			d.keepSecret(password)
		}
		return strings.TrimRight(strings.TrimSuffix(strings.TrimRight(u.String(), "/"), "/v1"), "/"), nil
	}
	host, port, err := net.SplitHostPort(d.host.ListenAddr)
	if err != nil {
		return "", fmt.Errorf("LOGGER_LISTEN_ADDR=%.80q: %w", d.host.ListenAddr, err)
	}
	if port == "0" {
		return "", fmt.Errorf("LOGGER_LISTEN_ADDR=%.80q is any free port, and LOGGER_URL does not say which", d.host.ListenAddr)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// meetLogger asks the running logger who it is. If none answers, it sets the view's err.
func (d *doctor) meetLogger(ctx context.Context) {
	v := &loggerView{}
	d.logger = v
	if v.url, v.err = d.loggerURL(); v.err != nil {
		v.away = Finding{Seen: "not asked", Culprit: v.err.Error(), Advice: "Set LOGGER_URL to where the logger is, or LOGGER_LISTEN_ADDR as the logger has it"}
		return
	}
	u, _ := url.Parse(v.url)
	var status int
	v.plugins, status, v.err = readiness(ctx, v.url)
	switch {
	case errors.Is(v.err, errNoLogger):
		v.away = Finding{
			Seen:    fmt.Sprintf("%s/readyz answers %d, and not with a logger's state", u.Redacted(), status),
			Culprit: "that is no logger", Advice: "Set LOGGER_URL to where the logger is",
		}
	case v.err != nil:
		v.away = Finding{
			Seen: "no answer from " + u.Redacted(), Culprit: "no logger runs there: " + why(u.Host, v.err),
			Advice: "Start it (logger serve), or set LOGGER_URL to where it is",
		}
	}
}

var errNoLogger = errors.New("what answers there is no logger")

// readiness returns what a logger tells of its plugins.
func readiness(ctx context.Context, at string) (plugins []plugin.Status, status int, err error) {
	status, body, err := get(ctx, true, at+"/readyz", nil)
	if err != nil {
		return nil, status, err
	}
	var answer struct {
		Plugins []plugin.Status `json:"plugins"`
	}
	if json.Unmarshal(body, &answer) != nil || len(answer.Plugins) == 0 {
		return nil, status, errNoLogger
	}
	return answer.Plugins, status, nil
}

// askLogger asks the running logger for everything that it tells, and judges whether it runs.
func (d *doctor) askLogger(ctx context.Context) {
	if d.logger.err == nil { // some time has passed since it was asked first
		d.meetLogger(ctx)
	}
	v := d.logger
	if v.err != nil {
		f := v.away
		f.Hop, f.Status = hopLogger, Fail
		d.add(f)
		return
	}
	hop, cancel := context.WithTimeout(ctx, HopTimeout)
	defer cancel()
	if status, body, err := get(hop, true, v.url+"/metrics", nil); err == nil && status == http.StatusOK {
		parser := expfmt.NewTextParser(model.UTF8Validation)
		v.metrics, _ = parser.TextToMetricFamilies(strings.NewReader(string(body))) // a part is better than none
	}
	if d.App != "" {
		status, body, err := get(hop, true, v.url+"/logs/"+url.PathEscape(d.App)+"?log_lines=1", nil)
		v.status, v.reason = status, string(body[:min(len(body), 300)])
		if err != nil {
			v.status = 0
		}
	}
	v.apps, v.appsErr = d.askApps(hop)
	d.judgeLogger()
}

// askApps asks for the first page of the list of apps. If the app in question is not on that page,
// it asks for the app too.
func (d *doctor) askApps(ctx context.Context) ([]appView, error) {
	var list struct{ Apps []appView }
	if status, err := d.askV1(ctx, "/v1/apps", &list); err != nil {
		return nil, fmt.Errorf("%d: %w", status, err)
	}
	if d.App == "" || slices.ContainsFunc(list.Apps, func(a appView) bool { return a.App == d.App }) {
		return list.Apps, nil
	}
	var one appView
	switch status, err := d.askV1(ctx, "/v1/apps/"+url.PathEscape(d.App), &one); {
	case err == nil:
		return append(list.Apps, one), nil
	case status == http.StatusNotFound, status == http.StatusBadRequest:
		return list.Apps, nil
	default:
		return nil, fmt.Errorf("%d: %w", status, err)
	}
}

func (d *doctor) askV1(ctx context.Context, path string, into any) (status int, err error) {
	token := d.token()
	d.keepSecret(token)
	var header http.Header
	if token != "" {
		header = http.Header{"Authorization": {"Bearer " + token}}
	}
	status, body, err := get(ctx, true, d.logger.url+path, header)
	if err != nil {
		return status, err
	}
	if status == http.StatusOK {
		return status, json.Unmarshal(body, into)
	}
	if status == http.StatusUnauthorized {
		return status, errors.New("it asks for a token: LOGGER_TOKEN_FILE names a file with one")
	}
	var answer struct{ Error struct{ Message string } }
	if err := json.Unmarshal(body, &answer); err != nil {
		return status, err
	}
	return status, errors.New(answer.Error.Message)
}

// token returns a token that /v1 accepts, if the environment has one.
func (d *doctor) token() string {
	for _, path := range []string{d.env("LOGGER_TOKEN_FILE"), d.host.TokensFile} {
		if path == "" {
			continue
		}
		b, _ := os.ReadFile(path)
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				return line
			}
		}
	}
	return ""
}

// loopingSince bounds the time since a plugin's last restart below which it does not count as
// stable.
const loopingSince = time.Minute

// judgeLogger tells whether the running logger's plugins work, by its own account.
func (d *doctor) judgeLogger() {
	v := d.logger
	var notes []string
	for _, p := range v.plugins {
		what := fmt.Sprintf("%s plugin %s", p.Kind, p.Name)
		notes = append(notes, fmt.Sprintf("%s is %s", what, p.State))
		age := time.Since(p.Since).Round(time.Second)
		switch {
		case !p.State.Serving():
			d.fail(hopLogger, fmt.Sprintf("%s is %s for %s, after %d restarts", what, p.State, age, p.Restarts),
				fmt.Sprintf("the %s does not run: %s", what, p.Reason), "The logger's log has the plugin's last lines")
			return
		case p.State == plugin.Degraded && p.Kind == sdk.StorageKind.String():
			advice := "If the storage is ok from here, compare networks and environments of the two"
			if hint, ok := redisHint(p.Reason); ok && p.Name == "redis" {
				advice = hint.advice
			}
			d.fail(hopLogger, fmt.Sprintf("%s is degraded for %s", what, age), "the logger's storage does not serve: "+p.Reason, advice)
			return
		case p.State == plugin.Degraded && p.Name != "nsq":
			d.fail(hopLogger, fmt.Sprintf("%s is degraded for %s", what, age),
				"the transport of the aggregator does not serve: "+p.Reason, "Look at that transport, and at the plugin's settings")
			return
		case p.State == plugin.Degraded:
			notes[len(notes)-1] += " (" + p.Reason + ")"
		case p.Restarts >= 3 && age < loopingSince:
			d.fail(hopLogger, fmt.Sprintf("%s runs for %s, after %d restarts", what, age, p.Restarts),
				fmt.Sprintf("the %s ends again and again", what), "The logger's log has its last lines before each end")
			return
		case p.Restarts > 0:
			notes[len(notes)-1] += fmt.Sprintf(" for %s, after %d restarts", age, p.Restarts)
		}
	}
	u, _ := url.Parse(v.url)
	d.ok(hopLogger, "it runs at %s: %s", u.Redacted(), strings.Join(notes, ", "))
}

// plugin returns what the running logger tells of its plugin of that kind. It returns false if the
// logger tells nothing.
func (v *loggerView) plugin(kind sdk.Kind) (plugin.Status, bool) {
	for _, p := range v.plugins {
		if p.Kind == kind.String() {
			return p, true
		}
	}
	return plugin.Status{}, false
}

// metric returns the value of a metric without labels. It returns false if the metric is not known.
func (v *loggerView) metric(name string) (float64, bool) {
	family := v.metrics[name]
	if family == nil || len(family.GetMetric()) == 0 {
		return 0, false
	}
	return value(family.GetMetric()[0]), true
}

// info returns the labels of a metric whose labels are its message, or nil if it is not known.
func (v *loggerView) info(name string) map[string]string {
	family := v.metrics[name]
	if family == nil || len(family.GetMetric()) == 0 {
		return nil
	}
	labels := map[string]string{}
	for _, l := range family.GetMetric()[0].GetLabel() {
		labels[l.GetName()] = l.GetValue()
	}
	return labels
}

func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
}
