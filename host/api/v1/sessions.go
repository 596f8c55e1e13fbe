package v1

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/many"
	"github.com/deis/logger/sdk"
)

const (
	defaultSession  = 10 * time.Minute
	longestSession  = 24 * time.Hour
	maxSessionBytes = 16 << 10 // of a request for a session
)

// createSession answers a URL that tails without other credentials for a while.
func (v *API) createSession(w http.ResponseWriter, r *http.Request) error {
	var of subject
	var err error
	if hasApp(r) {
		of.app, _, err = asked(r, nil)
	} else {
		_, err = parameters(r, nil)
	}
	if err != nil {
		return err
	}
	s, q, apps, err := parseSession(http.MaxBytesReader(w, r.Body, maxSessionBytes), of.app == "")
	if err != nil {
		return err
	}
	if s.Several = of.app == ""; s.Several {
		if len(apps) == 0 {
			return sdk.Refusef("apps is missing: want a list of names and patterns, such as [\"foo\", \"shop-*\"]")
		}
		if of.selection, err = many.ParseSelection(apps); err != nil {
			return err
		}
	}
	// Where its lines begin now. What has no log yet has only newer ones.
	k, err := v.keep(r.Context(), &of, &q, v.newSink(w, ""))
	if err != nil {
		return err
	}
	k.Close()
	s.App, s.Floor = of.String(), k.floor()
	token, err := v.opts.SessionKey.Sign(s)
	if err != nil {
		return err
	}
	address := v.opts.PublicURL + "/v1/sessions/" + token + "/tail"
	w.Header().Set("Location", address)
	answerJSON(w, http.StatusCreated, struct {
		URL     string    `json:"url"`
		Expires time.Time `json:"expires_at"`
	}{address, time.Unix(s.Expires, 0).UTC()})
	return nil
}

// parseSession reads the request for a session: JSON with no member but those of openapi.yaml,
// of their types. No body at all is one without filters. Of several apps, it names them.
func parseSession(body io.Reader, several bool) (s access.Session, q query, apps []string, err error) {
	var request, filters map[string]jsontext.Value
	text, err := io.ReadAll(body)
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return s, q, nil, sdk.Refusef("the body is of more than %d bytes", maxSessionBytes)
	}
	if text = bytes.TrimSpace(text); err == nil && len(text) > 0 {
		err = json.Unmarshal(text, &request)
	}
	if err != nil || len(text) > 0 && request == nil {
		return s, q, nil, sdk.Refusef("the body is no JSON object, or not well-formed; want {\"expires_in\": \"10m\", \"filters\": {...}}")
	}
	valid := defaultSession
	for name, value := range request {
		switch name {
		case "expires_in":
			var text string
			if json.Unmarshal(value, &text) == nil && value.Kind() == '"' {
				valid, err = sdk.ParseDuration(text)
			}
			if text == "" || err != nil || valid < time.Second || valid > longestSession {
				return s, q, nil, sdk.Refusef("expires_in=%.40s: want a duration from 1s to 24h, such as \"10m\"", value)
			}
		case "filters":
			if json.Unmarshal(value, &filters) != nil || filters == nil {
				return s, q, nil, sdk.Refusef("filters: want an object")
			}
		case "apps":
			if !several {
				return s, q, nil, sdk.Refusef("apps: the path names the app; POST /v1/sessions is for several")
			}
			if json.Unmarshal(value, &apps) != nil || value.Kind() != '[' {
				return s, q, nil, sdk.Refusef("apps=%.40s: want a list of names and patterns, such as [\"foo\", \"shop-*\"]", value)
			}
		default:
			return s, q, nil, sdk.Refusef("unknown member %.40q; accepted: %s", name, map[bool]string{false: "expires_in, filters", true: "apps, expires_in, filters"}[several])
		}
	}
	values := url.Values{}
	for name := range filters {
		values[name] = nil
	}
	if err := known(values, filterNames); err != nil {
		return s, q, nil, err
	}
	for name, value := range filters {
		if values[name], err = filterTexts(name, value); err != nil {
			return s, q, nil, err
		}
	}
	now := time.Now()
	q, err = parseQuery(values, now)
	return access.Session{Expires: now.Add(valid).Unix(), Filters: values.Encode()}, q, apps, err
}

// filterTypes are those of the filters that are no text or list of texts.
var filterTypes = map[string]string{"lines": "a whole number", "wait": "true or false", "since": "a text", "until": "a text"}

// filterTexts reads the value of a filter as the texts of a URL's parameter.
func filterTexts(name string, value jsontext.Value) (texts []string, err error) {
	want := cmp.Or(filterTypes[name], "a text or a list of texts")
	all := []jsontext.Value{value}
	switch kind := value.Kind(); {
	case name == "lines" && kind == '0', name == "wait" && (kind == 't' || kind == 'f'):
		return []string{string(value)}, nil
	case kind == '[' && filterTypes[name] == "":
		err = json.Unmarshal(value, &all)
	}
	for _, one := range all {
		var text string
		if err != nil || one.Kind() != '"' || json.Unmarshal(one, &text) != nil {
			return nil, sdk.Refusef("filters.%s=%.40s: want %s", name, value, want)
		}
		texts = append(texts, text)
	}
	return texts, nil
}

// tailSession tails as the token says; only the place and the format are the client's.
func (v *API) tailSession(w http.ResponseWriter, r *http.Request) error {
	s, err := v.opts.SessionKey.Verify(chi.URLParam(r, "token"), time.Now())
	if err != nil {
		return err
	}
	values, err := url.ParseQuery(s.Filters)
	if err != nil {
		return sdk.Refusef("%v", err)
	}
	own, err := parametersOrForm(r, sessionNames)
	if err != nil {
		return err
	}
	for name := range own {
		values[name] = slices.Clone(own[name])
	}
	of := subject{app: s.App}
	if s.Several {
		of.app = ""
		if of.selection, err = many.ParseSelection([]string{s.App}); err != nil {
			return err
		}
	}
	return v.tail(w, r, &of, values, s)
}
