package nsq

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// acceptV1 asks nsqd and nsqlookupd from 0.2.29 to before 1.0 for the answers of 1.0. Without it
// they wrap their JSON; see [unwrap].
const acceptV1 = "application/vnd.nsq; version=1.0"

// ask gets an answer of at most maxBytes from the HTTP side of nsqd or nsqlookupd. Its errors leave
// out the address: the caller names it.
func ask(ctx context.Context, client *http.Client, target string, maxBytes int64) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set("Accept", acceptV1)
	resp, err := client.Do(req)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return 0, nil, err
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBytes))
	_ = resp.Body.Close() // ReadAll has reported what Close could report
	if err != nil {
		return 0, nil, err
	}
	return resp.StatusCode, unwrap(body), nil
}

// unwrap returns the data of an answer that has the form from before 1.0,
// {"status_code":200,"status_txt":"OK","data":…}. It returns any other answer as it is: a refusal
// in the old form has no data, and its status_txt says what 1.0 says in message.
func unwrap(body []byte) []byte {
	var old struct {
		Code int             `json:"status_code"`
		Data json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &old); err != nil || old.Code != http.StatusOK || len(old.Data) == 0 {
		return body
	}
	return old.Data
}
