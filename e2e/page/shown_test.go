package page

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/chromedp"
)

// over publishes lines whose own times run from ago before now until now, and waits until they are
// stored.
func (s system) over(t *testing.T, app string, ago time.Duration, texts ...string) {
	t.Helper()
	messages := make([][]byte, len(texts))
	for i, text := range texts {
		quoted, _ := json.Marshal(text + "\n") // marshalling a string cannot fail
		at := time.Now().Add(-ago + ago*time.Duration(i)/time.Duration(len(texts)))
		messages[i] = fmt.Appendf(nil, `{"log":%s,"stream":"stdout","time":%q,"kubernetes":{"pod_name":"%[3]s-web-1234567890-abcde","host":"node-1","labels":{"app":%[3]q,"type":"web","version":"v7"}}}`, quoted, at.Format(time.RFC3339Nano), app)
	}
	before := s.stored(app)
	s.queue.Publish("logs", messages...)
	s.Until("the lines are stored", func() bool { return s.stored(app) == before+len(texts) })
}

// mouse presses, moves or releases the left button at a point of the window.
func (p *tab) mouse(kind string, x, y float64) {
	p.t.Helper()
	params := map[string]any{"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1}
	if _, err := chromedp.Call(p.ctx, cdp.Command[map[string]any, cdp.Empty]{Method: "Input.dispatchMouseEvent"}, params); err != nil {
		p.t.Fatal(err)
	}
}

// TestTimeIsChosenInTheChart: the chart counts the lines by level over time. If the user drags over
// a part of it, the page shows the lines of that part.
func TestTimeIsChosenInTheChart(t *testing.T) {
	s := start(t)
	var texts []string
	for n := range 120 {
		texts = append(texts, fmt.Sprintf("%s number %d", []string{"INFO", "INFO", "ERROR"}[n%3], n))
	}
	s.over(t, "shop", 50*time.Minute, texts...)
	p := open(t, s.URL+"/apps/shop")
	label := `document.querySelector('.chart canvas')?.getAttribute('aria-label')`
	p.until("the lines are counted", label+".endsWith('120 lines, 40 error, 80 info')")
	if painted := value[[]string](p, `(() => {const c = document.querySelector('.chart canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data, seen = new Set()
		for (let i = 0; i < d.length; i += 4) if (d[i + 3] === 255) seen.add([d[i], d[i + 1], d[i + 2]].join())
		return [...seen]})()`); len(painted) < 2 {
		t.Errorf("the chart has the colours %q, want those of two levels", painted)
	}
	box := value[[]float64](p, `(r => [r.left, r.top, r.width])(document.querySelector('.chart canvas').getBoundingClientRect())`)
	p.mouse("mouseMoved", box[0]+box[2]/2, box[1]+20)
	p.untilText(".chart .count", "line")
	p.mouse("mousePressed", box[0]+box[2]/2, box[1]+20)
	p.mouse("mouseMoved", box[0]+box[2]*3/4, box[1]+20)
	p.until("what is dragged over is marked", fmt.Sprintf("Math.abs(document.querySelector('.chart .drag').getBoundingClientRect().width - %v) < 2", box[2]/4))
	p.mouse("mouseReleased", box[0]+box[2]*3/4, box[1]+20)
	p.untilText(".state", "Ended")
	query, err := url.ParseQuery(value[string](p, "location.search.slice(1)"))
	if err != nil {
		t.Fatal(err)
	}
	since, err1 := time.Parse(time.RFC3339Nano, query.Get("since"))
	until, err2 := time.Parse(time.RFC3339Nano, query.Get("until"))
	if took := until.Sub(since); err1 != nil || err2 != nil || took < 14*time.Minute || took > 16*time.Minute {
		t.Errorf("chosen are %q, want a quarter of an hour", query)
	}
	_, _, want := s.Do("GET", "/v1/apps/shop/logs?lines=-1&format=text&"+query.Encode())
	p.until("as many lines are shown", fmt.Sprintf("document.querySelectorAll('.rows .line').length === %d", strings.Count(string(want), "\n")))
	p.until("the chart has that time", fmt.Sprintf("%s.includes('%d lines')", label, strings.Count(string(want), "\n")))
}

// session creates a session and returns the path of its page.
func (s system) session(t *testing.T, path, body string) string {
	t.Helper()
	resp, err := http.Post(s.URL+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var session struct {
		URL string `json:"url"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&session); err != nil || resp.StatusCode != http.StatusCreated {
		t.Fatalf("%d %v", resp.StatusCode, err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(session.URL, "/v1"), "/tail")
}

// TestSessionIsAllThatIsShown: the link of a session shows the lines of its apps, follows them, and
// leads nowhere else.
func TestSessionIsAllThatIsShown(t *testing.T) {
	s := start(t)
	s.say(t, "shop", "INFO one", "ERROR two")
	s.say(t, "billing", "secret")
	link := s.session(t, "/v1/apps/shop/sessions", `{"filters":{"level":"error"}}`)
	p := open(t, s.URL+link)
	p.until("its line is shown", lastLine+" === 'ERROR two'")
	s.say(t, "shop", "INFO three", "ERROR four")
	p.until("it is followed", lastLine+" === 'ERROR four'")
	if texts := trimmed(p.texts(".rows .message")); !slices.Equal(texts, []string{"ERROR two", "ERROR four"}) {
		t.Errorf("the session shows %q", texts)
	}
	p.press("g")
	p.untilText(".head", "The session begins here")
	for what, selector := range map[string]string{"a link elsewhere": "a:not(.time)", "filters": ".tools input[type=text]", "a chart": ".chart"} {
		if n := p.number(fmt.Sprintf("document.querySelectorAll(%q).length", selector)); n != 0 {
			t.Errorf("the session has %s", what)
		}
	}
	asked := value[[]string](p, `performance.getEntriesByType('resource').map(e => new URL(e.name).pathname).filter(path => path.includes('/v1/'))`)
	for _, path := range asked {
		if !strings.HasPrefix(path, "/v1"+link) {
			t.Errorf("the session asked for %s", path)
		}
	}
	wrong := open(t, s.URL+"/sessions/eyJhIjo.wrong", "401 (Unauthorized)")
	wrong.untilText(".pill.warn", "not the URL of a session")
	if wrong.number("document.querySelectorAll('.token').length") != 0 {
		t.Error("a wrong session asks for a token")
	}
}

// TestWhatIsShownIsChosen: the user chooses the columns, the density, and the form of JSON, and the
// browser keeps the choice.
func TestWhatIsShownIsChosen(t *testing.T) {
	s := start(t)
	s.over(t, "shop", time.Minute, samples...)
	p := open(t, s.URL+"/apps/shop")
	p.until("the lines are shown", fmt.Sprintf("document.querySelectorAll('.rows .line').length === %d", len(samples)))
	p.click(".menu summary")
	cells := func() []string {
		return value[[]string](p, "[...document.querySelector('.rows .line').children].map(e => e.className)")
	}
	if got := cells(); !slices.Equal(got, []string{"time", "level", "source", "message"}) {
		t.Errorf("the columns are %q", got)
	}
	p.click("input[name=release]")
	p.click("input[name=host]")
	p.click("input[name=level]")
	p.until("columns are chosen", "document.querySelector('.rows .line .host')?.innerText === 'node-1' && document.querySelector('.rows .line .release').innerText === 'v7'")
	if got := cells(); !slices.Equal(got, []string{"time", "source", "release", "host", "message"}) {
		t.Errorf("the columns are %q", got)
	}
	p.choose("Rows", "comfortable")
	p.until("rows are higher", "document.querySelector('.rows .line').getBoundingClientRect().height === 24")
	p.choose("JSON", "expanded")
	p.until("objects are trees", "document.querySelectorAll('.rows .message > .tree').length === 2")
	p.choose("JSON", "raw")
	p.until("objects are as they were printed", fmt.Sprintf("document.querySelectorAll('.rows .message')[1].innerText.trim() === %q", samples[1]))
	p.do(chromedp.Reload())
	p.until("the browser keeps what was chosen", "document.querySelector('.list.comfortable .line .host')?.innerText === 'node-1' && !document.querySelector('.rows .level, .rows .open')")
}

// TestScreenReadersAreTold: the accessibility tree says enough of the page to use it.
func TestScreenReadersAreTold(t *testing.T) {
	s := start(t)
	s.say(t, "shop", samples...)
	p := open(t, s.URL+"/")
	p.untilText("tbody", "shop")
	type text struct {
		Value string `json:"value"`
	}
	type node struct {
		Ignored bool `json:"ignored"`
		Role    text `json:"role"`
		Name    text `json:"name"`
	}
	type tree struct {
		Nodes []node `json:"nodes"`
	}
	check := func(what string, want ...string) {
		t.Helper()
		all, err := chromedp.Call(p.ctx, cdp.Command[map[string]any, tree]{Method: "Accessibility.getFullAXTree"}, map[string]any{})
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, n := range all.Nodes {
			if n.Ignored {
				continue
			}
			told = append(told, n.Role.Value+" "+n.Name.Value)
			needsName := []string{"button", "link", "textbox", "searchbox", "combobox", "checkbox", "image", "log", "heading", "DisclosureTriangle"}
			if slices.Contains(needsName, n.Role.Value) && strings.TrimSpace(n.Name.Value) == "" {
				t.Errorf("%s: a %s has no name", what, n.Role.Value)
			}
		}
		for _, w := range want {
			if !slices.ContainsFunc(told, func(line string) bool { return strings.HasPrefix(line, w) }) {
				t.Errorf("%s: no %q among %q", what, w, told)
			}
		}
	}
	check("the list", "heading logger", "searchbox Filter apps", "checkbox Choose shop", "link shop", "columnheader Lines kept", "status")
	p.click("tbody a")
	p.until("the lines are shown", "document.querySelectorAll('.rows .line').length === 10")
	p.until("they are counted", "document.querySelector('.chart canvas')?.checkVisibility()")
	p.click(".menu summary")
	check("a log", "heading shop", "link logger", "log Lines of the log", "searchbox Find in view", "button Match below", "combobox Level",
		"textbox Only", "combobox Since", "combobox Times", "checkbox Wrap long lines", "checkbox Process and pod", "image Lines over time", "button Unfold this line", "status")
}

// TestPicture takes the picture of README.md and docs/page.md. With -screenshots docs it replaces
// that picture.
func TestPicture(t *testing.T) {
	s := start(t)
	said := []string{
		"GET /healthz 200 1.2ms",
		`{"level":"info","msg":"request served","path":"/cart/42","status":200,"took_ms":12.4,"user":{"id":7,"plan":"pro"}}`,
		"\x1b[32mready\x1b[0m on \x1b[1;36mhttp://0.0.0.0:5000\x1b[0m in \x1b[33m482 ms\x1b[0m",
		`{"level":"debug","msg":"cache miss","key":"user:7:profile"}`,
		`{"level":"info","msg":"order placed","order":8812,"items":3,"total":"41.90"}`,
	}
	rare := map[int]string{
		3: `level=warn msg="retrying payment" attempt=2 order=8812`,
		7: "ERROR: could not connect to db-1.internal:5432: connection refused\n    at Pool.connect (/srv/app/pool.js:45:11)\n    at async Orders.load (/srv/app/orders.js:120:5)",
		9: `{"severity":"error","message":"checkout failed","error":"card declined","order":8813}`,
	}
	var texts []string
	for n := range 420 {
		text := said[n%len(said)]
		if r, ok := rare[n*n%11]; ok && (n > 150 && n < 190 || n > 395) { // an outage, and the beginning of another
			text = r
		}
		texts = append(texts, text)
	}
	s.over(t, "shop", 14*time.Minute, texts...)
	p := open(t, s.URL+"/apps/shop")
	p.scheme("light")
	p.size(1100, 560)
	p.until("the lines are counted", `document.querySelector('.chart canvas')?.getAttribute('aria-label').includes('420 lines')`)
	p.do(chromedp.SendKeys(chromedp.CSS(".find"), "order"))
	p.until("matches are marked", "document.querySelector('.rows mark')")
	if png := p.picture("page"); len(png) > 200<<10 {
		t.Errorf("the picture is of %d bytes, want at most 200 KiB", len(png))
	}
}
