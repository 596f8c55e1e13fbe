package page

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
)

// system runs a logger and its queue.
type system struct {
	*harness.Logger
	queue *nsqtest.Server
}

func start(t *testing.T, envs ...map[string]string) system {
	t.Helper()
	queue := harness.NewQueue(t)
	envs = append([]map[string]string{harness.MemoryEnv(), harness.NSQEnv(queue.TCPAddr())}, envs...)
	return system{harness.Start(t, envs...), queue}
}

// say publishes lines of an app with the current time, and waits until they are stored.
func (s system) say(t *testing.T, app string, texts ...string) {
	t.Helper()
	messages := make([][]byte, len(texts))
	for i, text := range texts {
		quoted, err := json.Marshal(text + "\n")
		if err != nil {
			t.Fatal(err)
		}
		messages[i] = fmt.Appendf(nil, `{"log":%s,"stream":"stdout","time":%q,"kubernetes":{"namespace_name":%[3]q,"pod_name":"%[3]s-web-1234567890-abcde",`+
			`"container_name":"%[3]s-web","host":"node-1","labels":{"app":%[3]q,"type":"web","version":"v1"}}}`, quoted, time.Now().Format(time.RFC3339Nano), app)
	}
	before := s.stored(app)
	s.queue.Publish("logs", messages...)
	s.Until("the lines are stored", func() bool { return s.stored(app) == before+len(texts) })
}

// stored returns how many lines were ever stored for the app.
func (s system) stored(app string) int {
	var info struct {
		Books struct {
			Stored int `json:"stored"`
		} `json:"books"`
	}
	_, _, body := s.Do("GET", "/v1/apps/"+app)
	_ = json.Unmarshal(body, &info) // an app without lines has no such field
	return info.Books.Stored
}

func numbered(from, to int) (texts []string) {
	for n := from; n <= to; n++ {
		texts = append(texts, fmt.Sprintf("number %d", n))
	}
	return texts
}

// lastLine is an expression for the text of the newest line in the document.
const lastLine = `[...document.querySelectorAll('.line > .message')].slice(0, -1).at(-1)?.innerText.trim()`

// TestAppsAndOneLive: the list of apps leads to the page of each app, which follows the app.
func TestAppsAndOneLive(t *testing.T) {
	s := start(t)
	s.say(t, "shop", numbered(1, 5)...)
	s.say(t, "billing", "one")
	p := open(t, s.URL+"/")
	p.until("both apps are listed", "document.querySelectorAll('tbody tr').length === 2")
	if got := p.texts("tbody tr:nth-child(2) td")[1:]; !slices.Equal(got[:2], []string{"shop", "5"}) || !strings.HasSuffix(got[3], "s ago") {
		t.Errorf("the list says %q of shop", got)
	}
	p.do(chromedp.SendKeys(chromedp.CSS(".find"), "sho"))
	p.until("the list is filtered as one types", "document.querySelectorAll('tbody tr').length === 1")
	p.press(kb.Enter)
	p.untilText("h1", "shop")
	p.until("its lines are shown", lastLine+" === 'number 5'")
	p.untilText(".state", "Live")
	s.say(t, "shop", "number 6")
	p.until("a new line comes by itself", lastLine+" === 'number 6'")
	if path := value[string](p, "location.pathname"); path != "/apps/shop" {
		t.Errorf("the address is %s", path)
	}
	p.do(chromedp.NavigateBack())
	p.until("the list is back", "document.querySelectorAll('tbody tr').length === 2")
	s.say(t, "third", "one")
	p.until("a new app joins the list", "document.querySelectorAll('tbody tr').length === 3")
	s.say(t, "third", numbered(1, 100)...)
	p.until("the list says how fast lines come", "Number(document.querySelector('tbody tr:nth-child(3) td:nth-child(4)').innerText) > 0")
}

// TestFiltersRunOnTheServer: the page's requests have the filters, and so has its address.
func TestFiltersRunOnTheServer(t *testing.T) {
	s := start(t)
	s.say(t, "shop", "INFO fine", "WARN hm", "ERROR bad 1", "ERROR bad 2", "no level")
	p := open(t, s.URL+"/apps/shop")
	shown := func(what string, want ...string) {
		t.Helper()
		list, _ := json.Marshal(append([]string{}, want...)) // an empty list is written [], not null
		p.until(what, fmt.Sprintf("JSON.stringify([...document.querySelectorAll('.rows .message')].map(e => e.innerText.trim())) === %q", list))
	}
	shown("all are shown", "INFO fine", "WARN hm", "ERROR bad 1", "ERROR bad 2", "no level")
	p.choose("Level", "warn")
	shown("level", "WARN hm", "ERROR bad 1", "ERROR bad 2")
	p.enter(".f-include input", "bad|hm")
	p.enter(".f-exclude input", "1$")
	shown("expressions", "WARN hm", "ERROR bad 2")
	if query := value[string](p, "location.search"); query != "?level=warn&include=bad%7Chm&exclude=1%24" {
		t.Errorf("the address has %q", query)
	}
	s.say(t, "shop", "INFO bad 3", "ERROR bad 4")
	shown("what comes is filtered, too", "WARN hm", "ERROR bad 2", "ERROR bad 4")
	p.do(chromedp.Reload())
	shown("the address keeps the filters", "WARN hm", "ERROR bad 2", "ERROR bad 4")
	p.enter(".f-pod input", "zzzzz")
	shown("pod")
	// The browser lists the request of a stream once the stream has ended.
	p.until("the page asked with all filters", `performance.getEntriesByType('resource').some(e => e.name.includes('/tail') && e.name.includes('level=warn&include=bad%7Chm&exclude=1%24'))`)
	p.enter(".f-pod input", "abcde")
	p.enter(".f-process input", "web")
	shown("pod and process", "WARN hm", "ERROR bad 2", "ERROR bad 4")
	p.enter(".f-until input", "1h")
	shown("time")
	p.untilText(".state", "Ended")
}

// TestBadFilterIsTold: if the logger refuses a filter, the page shows the reason in the logger's
// words.
func TestBadFilterIsTold(t *testing.T) {
	s := start(t)
	s.say(t, "shop", "one")
	p := open(t, s.URL+"/apps/shop?include=(", "400 (Bad Request)")
	p.untilText(".pill.warn", "missing closing )")
}

// TestCutTailIsResumed: the page says that the connection was lost. When it is back, each line is
// there once, and a gap stands for lines that are no longer kept.
func TestCutTailIsResumed(t *testing.T) {
	s := start(t, map[string]string{"NUMBER_OF_LINES": "100"})
	proxy := nsqtest.NewProxy(t, strings.TrimPrefix(s.URL, "http://"))
	s.say(t, "shop", numbered(1, 20)...)
	p := open(t, "http://"+proxy.Addr()+"/apps/shop", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_TIMED_OUT")
	p.size(1200, 900) // the document has 40 lines
	p.until("the lines are shown", lastLine+" === 'number 20'")
	value[bool](p, `{window.told = []; new MutationObserver(() => told.push(document.querySelector('.state').innerText)).observe(document.querySelector('.bar'), {subtree: true, childList: true, characterData: true}); true}`)
	proxy.Cut()
	s.say(t, "shop", numbered(21, 40)...)
	p.until("it goes on", lastLine+" === 'number 40'")
	if told := value[[]string](p, "told"); !slices.ContainsFunc(told, func(text string) bool { return strings.Contains(text, "Connection lost, trying again") }) {
		t.Errorf("the cut was not told: %q", told)
	}
	want := numbered(1, 40)
	if got := p.texts(".rows .message"); !slices.Equal(trimmed(got), want) {
		t.Errorf("the page shows %q", got)
	}
	proxy.Freeze()
	proxy.Cut()
	s.say(t, "shop", numbered(41, 400)...)
	p.untilText(".state", "trying again")
	proxy.Thaw()
	proxy.Cut()
	p.until("it goes on", lastLine+" === 'number 400'")
	p.press("g")
	p.until("the view is at its oldest line", "document.querySelector('.list').scrollTop < 40")
	p.wheel(400)
	p.untilText(".gap", "260 lines are missing here: newer lines pushed them out")
	if got := trimmed(p.texts(".gap-row ~ .line .message"))[:3]; !slices.Equal(got, numbered(301, 303)) {
		t.Errorf("behind the gap come %q", got)
	}
	s.Do("DELETE", "/v1/apps/shop/logs")
	p.press("G")
	p.until("a delete is a gap, too", "[...document.querySelectorAll('.gap')].some(e => e.innerText.includes('the log was deleted'))")
}

// TestLongCursorIsResumed: a session of many apps has a cursor that is too long for a URL. If its
// tail is cut, it resumes nevertheless, over one connection.
func TestLongCursorIsResumed(t *testing.T) {
	s := start(t)
	proxy := nsqtest.NewProxy(t, strings.TrimPrefix(s.URL, "http://"))
	app := func(n int) string { return fmt.Sprintf("shop-%d-%s", n, strings.Repeat(string(rune('a'+n)), 200)) }
	var want []string
	say := func(n int, text string) {
		s.say(t, app(n), text)
		want = append(want, text)
	}
	for n := range 20 {
		say(n, fmt.Sprintf("number %d", n))
	}
	s.say(t, "other", "secret")
	link := s.session(t, "/v1/sessions", `{"apps":["shop-*"]}`)
	p := open(t, "http://"+proxy.Addr()+link, "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_TIMED_OUT")
	p.size(1200, 900)
	p.until("the lines are shown", lastLine+" === 'number 19'")
	proxy.Cut()
	say(3, "after the cut")
	p.until("it goes on", lastLine+" === 'after the cut'")
	value[bool](p, `{window.told = []; new MutationObserver(() => told.push(document.querySelector('.state').innerText)).observe(document.querySelector('.bar'), {subtree: true, childList: true, characterData: true}); true}`)
	for n := range 4 {
		<-time.After(100 * time.Millisecond) // a pause in which nothing comes
		say(n, fmt.Sprintf("later %d", n))
	}
	p.until("it is followed", lastLine+" === 'later 3'")
	if got := trimmed(p.texts(".rows .message")); !slices.Equal(got, want) {
		t.Errorf("the page shows %q", got)
	}
	if told := value[[]string](p, "told"); slices.ContainsFunc(told, func(text string) bool { return strings.Contains(text, "lost") }) {
		t.Errorf("the connection was lost again: %q", told)
	}
}

func trimmed(texts []string) []string {
	for i := range texts {
		texts[i] = strings.TrimSpace(texts[i])
	}
	return texts
}

// top is an expression for the scroll position: the first line that is whole in sight, and its
// distance from the upper edge.
const top = `(() => {
	const list = document.querySelector('.list'), edge = list.getBoundingClientRect().top
	const row = [...document.querySelectorAll('.rows > *')].find(e => e.getBoundingClientRect().top >= edge)
	return row.innerText.replace(/^.*web/s, '') + ' at ' + Math.round(row.getBoundingClientRect().top - edge)
})()`

// TestViewStaysWhereTheReaderIs: while the user reads further up or has a selection, the view does
// not move. It counts the new lines.
func TestViewStaysWhereTheReaderIs(t *testing.T) {
	s := start(t)
	s.say(t, "shop", numbered(1, 500)...)
	p := open(t, s.URL+"/apps/shop")
	p.until("the lines are shown", lastLine+" === 'number 500'")
	stays := func(what string, from, to int) {
		t.Helper()
		before := value[string](p, top)
		s.say(t, "shop", numbered(from, to)...)
		p.untilText(".fresh", fmt.Sprintf("%d new lines", to-from+1))
		if after := value[string](p, top); after != before {
			t.Errorf("%s: the view was at %q and is at %q", what, before, after)
		}
		p.untilText(".state", "held")
		p.click(".fresh")
		p.until("the button leads back", lastLine+fmt.Sprintf(" === 'number %d'", to))
		p.until("and goes away", "!document.querySelector('.fresh')")
	}
	p.wheel(-700)
	p.untilText(".fresh", "Newest line")
	stays("scrolled up", 501, 620)
	value[bool](p, `{const rows = document.querySelectorAll('.rows .message'), range = document.createRange()
		range.setStart(rows[5], 0); range.setEnd(rows[8], 1); getSelection().removeAllRanges(); getSelection().addRange(range); true}`)
	p.untilText(".fresh", "Newest line")
	stays("selecting", 621, 700)
	value[bool](p, "{getSelection().removeAllRanges(); true}")
	p.press(" ")
	stays("held by space", 701, 730)
	p.press(" ")
	p.untilText(".state", "held")
	p.press(" ")
	s.say(t, "shop", "number 731")
	p.until("space follows again", lastLine+" === 'number 731'")
}

// TestScrollingBackLoadsHistory: the view begins with the newest lines. If the user scrolls up, the
// other kept lines are loaded.
func TestScrollingBackLoadsHistory(t *testing.T) {
	s := start(t, map[string]string{"NUMBER_OF_LINES": "6000"})
	s.say(t, "shop", numbered(1, 5500)...)
	p := open(t, s.URL+"/apps/shop")
	p.until("the lines are shown", lastLine+" === 'number 5500'")
	p.scrollToOldest()
	p.press("g")
	p.until("the first line is there", `[...document.querySelectorAll('.rows .message')][0].innerText.trim() === 'number 1'`)
	if n := p.number("document.querySelectorAll('.rows > *').length"); n > 200 {
		t.Errorf("%v rows are in the document", n)
	}
}

// TestLinkToALine: a line's link shows that line as long as it is kept. Afterwards the page says
// that it is no longer kept.
func TestLinkToALine(t *testing.T) {
	s := start(t, map[string]string{"NUMBER_OF_LINES": "3000"})
	s.say(t, "shop", numbered(1, 2500)...)
	p := open(t, s.URL+"/apps/shop")
	p.until("the lines are shown", lastLine+" === 'number 2500'")
	p.until("the chart is drawn, which lines make room for", "document.querySelector('.chart canvas')?.checkVisibility()")
	p.do(chromedp.Click(chromedp.CSS(".rows .line:nth-child(15) .time")))
	p.untilText(".pill", "1 line")
	chosen := strings.TrimSpace(p.text(".line.selected .message"))
	link := value[string](p, "location.href")
	if !strings.Contains(link, "#cursor=") {
		t.Fatalf("the address is %s", link)
	}
	s.say(t, "shop", numbered(2501, 2600)...)
	other := open(t, link)
	other.until("the line is shown", "document.querySelector('.line.current')")
	if got := strings.TrimSpace(other.text(".line.current .message")); got != chosen {
		t.Errorf("the link of %q shows %q", chosen, got)
	}
	if !value[bool](other, `(() => {const r = document.querySelector('.line.current').getBoundingClientRect(); return r.top > 100 && r.bottom < innerHeight})()`) {
		t.Error("the line is out of sight")
	}
	s.say(t, "shop", numbered(2601, 6000)...)
	gone := open(t, link)
	gone.untilText(".pill.warn", "no longer kept")
}

// TestTextIsNeverHTML: the page shows whatever a program prints as text. Even if its code tried to
// make HTML of a text, the browser would refuse.
func TestTextIsNeverHTML(t *testing.T) {
	s := start(t)
	evil := `<img src=x onerror=alert(1)><script>alert(2)</script><a href="javascript:alert(3)">x</a>`
	object, _ := json.Marshal(map[string]any{"msg": evil, evil: evil, "__proto__": map[string]string{"a": evil}})
	s.say(t, "shop", evil, string(object), "\x1b[31m"+evil+"\x1b]8;;javascript:alert(4)\x07link\x1b]8;;\x07")
	p := open(t, s.URL+"/apps/shop", "Content Security Policy", "TrustedHTML", "TrustedScriptURL")
	p.until("they are shown", "document.querySelectorAll('.rows .line').length === 3")
	p.click(".open")
	p.until("the object is open", "document.querySelector('.tree')")
	if n := p.number("document.querySelectorAll('.rows img, .rows script, .rows a:not(.time)').length"); n != 0 {
		t.Errorf("%v elements came out of texts", n)
	}
	if !strings.Contains(p.text(".rows"), evil) {
		t.Error("the text is not shown as it is")
	}
	if value[bool](p, `(() => {try {document.body.innerHTML = '<b>x</b>'; return true} catch {return false}})()`) {
		t.Error("a text can be made HTML")
	}
	if value[bool](p, `new Promise(done => {const s = document.createElement('script'); s.onload = () => done(true); s.onerror = () => done(false)
		try {s.src = 'data:text/javascript,1'} catch {done(false)}; document.head.append(s); setTimeout(() => done(false), 2000)})`) {
		t.Error("a script of elsewhere runs")
	}
}

// TestTokenIsAskedFor: the page asks for a token, and keeps it only in memory.
func TestTokenIsAskedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	const token = "0123456789abcdef0123456789abcdef"
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.MemoryEnv(), harness.NSQEnv(queue.TCPAddr()), map[string]string{"LOGGER_API_TOKENS_FILE": file})
	queue.Publish("logs", harness.Message("shop", "secret line\n"))
	l.Until("it is stored", func() bool { return l.Lines("shop") != "" })
	p := open(t, l.URL+"/", "401 (Unauthorized)")
	p.untilText(".token", "asks for a token")
	p.enter(".token input", "wrong-wrong-wrong-wrong-wrong-wrong")
	p.untilText(".token", "not good")
	p.enter(".token input", token)
	p.untilText("tbody", "shop")
	p.click("tbody a")
	p.until("the token is good for the tail, too", "document.querySelector('.rows')?.innerText.includes('secret line')")
	kept := value[string](p, "document.cookie + JSON.stringify({...localStorage}) + JSON.stringify({...sessionStorage}) + location.href + document.documentElement.outerHTML")
	if strings.Contains(kept, token) {
		t.Errorf("the token is kept: %s", kept)
	}
	p.do(chromedp.Reload())
	p.untilText(".token", "asks for a token")
}
