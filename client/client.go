package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Options configure a [Client].
type Options struct {
	// URL is where the logger serves, perhaps under a path. Without a scheme it means http. A /v1
	// at its end is ignored, since all paths of the API begin with it.
	URL string
	// Token returns the bearer token of a request; nil or an empty token means none. It is called
	// for each request, so that a token can be rotated during a long tail.
	Token func() (string, error)
	// UserAgent names the program.
	UserAgent string
}

// Client asks one logger. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	opts  Options
	http  *http.Client
	close func()
}

// Bounds on how long a server may take to accept a connection and to begin to answer.
const (
	dialTimeout   = 5 * time.Second
	headerTimeout = 20 * time.Second
)

// New makes a client. It does not connect yet.
func New(opts Options) (*Client, error) {
	text := opts.URL
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("server %q: want a URL such as http://127.0.0.1:8088", opts.URL)
	}
	base.Path = strings.TrimRight(strings.TrimSuffix(strings.TrimRight(base.Path, "/"), "/v1"), "/")
	dialer := &net.Dialer{Timeout: dialTimeout}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSHandshakeTimeout:   dialTimeout,
		ResponseHeaderTimeout: headerTimeout,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // a compressed stream comes in lumps
	}
	return &Client{
		base: base,
		opts: opts,
		http: &http.Client{
			Transport: transport,
			// A token goes to the server that the user named and to no other.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		close: transport.CloseIdleConnections,
	}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.close() }

// URL returns where the client looks for its server, without secrets.
func (c *Client) URL() string { return c.base.Redacted() }

// App says what the server keeps of one app's log.
type App struct {
	Name    string    `json:"app"`
	Entries uint64    `json:"entries"`
	Bytes   uint64    `json:"bytes"`
	Oldest  time.Time `json:"oldest"`
	Newest  time.Time `json:"newest"`

	// Raw is the app as the server sent it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON reads an app, and keeps the JSON in Raw.
func (a *App) UnmarshalJSON(b []byte) error {
	type fields App
	if err := json.Unmarshal(b, (*fields)(a)); err != nil {
		return err
	}
	a.Raw = append(json.RawMessage(nil), b...)
	return nil
}

// Apps lists the apps that have a log, in the order of their names. It asks for page after
// page.
func (c *Client) Apps(ctx context.Context) (all []App, err error) {
	query := url.Values{}
	for {
		var page struct {
			Apps []App
			Next string
		}
		if err := c.getJSON(ctx, "/v1/apps", query, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Apps...)
		if page.Next == "" || page.Next <= query.Get("after") {
			return all, nil
		}
		query.Set("after", page.Next)
	}
}

// App returns an app. If it has no log, the error is an [Error] with [CodeAppUnknown].
func (c *Client) App(ctx context.Context, name string) (App, error) {
	path, err := appPath(name, "")
	if err != nil {
		return App{}, err
	}
	var app App
	err = c.getJSON(ctx, path, nil, &app)
	return app, err
}

// Delete deletes the log of an app. If the app has none, that is no error.
func (c *Client) Delete(ctx context.Context, app string) error {
	path, err := appPath(app, "/logs")
	if err != nil {
		return err
	}
	resp, err := c.do(ctx, http.MethodDelete, path, nil, "application/json")
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// maxJSON bounds the size of an answer that is one JSON document.
const maxJSON = 256 << 20

func (c *Client) getJSON(ctx context.Context, path string, query url.Values, into any) error {
	resp, err := c.do(ctx, http.MethodGet, path, query, "application/json")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if err := wantType(resp, "application/json"); err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJSON))
	if err != nil {
		return &LostError{err}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("answer of %s: %w", path, err)
	}
	return nil
}

// do makes a request; a POST has the query as its body. It returns an answer that is a success; the
// caller closes the body.
func (c *Client) do(ctx context.Context, method, path string, query url.Values, accept string) (*http.Response, error) {
	target := c.base.JoinPath(path)
	var body io.Reader = http.NoBody
	if method == http.MethodPost {
		body = strings.NewReader(query.Encode())
	} else {
		target.RawQuery = query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target.String(), body)
	if err != nil {
		return nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("Accept", accept)
	if c.opts.UserAgent != "" {
		req.Header.Set("User-Agent", c.opts.UserAgent)
	}
	if c.opts.Token != nil {
		token, err := c.opts.Token()
		if err != nil {
			return nil, err
		}
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		var wrapped *url.Error // repeats the method and the whole URL
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, &UnreachableError{URL: c.URL(), Err: err}
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		defer func() { _ = resp.Body.Close() }()
		return nil, errorOf(resp)
	}
	return resp, nil
}

// wantType refuses an answer of another type, such as a page of a server that is no logger.
func wantType(resp *http.Response, want string) error {
	got := resp.Header.Get("Content-Type")
	if mediaType, _, _ := strings.Cut(got, ";"); strings.TrimSpace(mediaType) != want {
		return &Error{Status: resp.StatusCode, Message: fmt.Sprintf("it answers with %s instead of %s: is it a logger?", oneLine(got), want)}
	}
	return nil
}

// appName matches the names of apps: those that the API accepts. None can bend a path.
var appName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)

// ValidApp says whether an app can have that name.
func ValidApp(name string) bool { return appName.MatchString(name) }

// ValidPattern says whether a text is the name of an app, or a pattern of such names.
func ValidPattern(text string) bool {
	return ValidApp(text) || strings.Contains(text, "*") && ValidApp("a"+strings.ReplaceAll(text, "*", "")+"a")
}

func appPath(app, rest string) (string, error) {
	if !ValidApp(app) {
		return "", badApp(app)
	}
	return "/v1/apps/" + app + rest, nil
}

func badApp(app string) error {
	return &Error{
		Status: http.StatusBadRequest, Code: CodeBadRequest,
		Message: fmt.Sprintf("app name %.80q: want letters, digits, '-', '_' or '.', with a letter or digit at both ends", app),
	}
}
