package page

import (
	"encoding/json"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// floodTime is the length of TestFlood's flood. The figures in docs/page.md were measured with a
// minute.
var floodTime = flag.Duration("flood", 8*time.Second, "how long TestFlood publishes 5,000 lines/s")

// frames is an expression that begins to measure the times between frames, until stopFrames is
// evaluated.
const frames = `{window.gaps = []; let last = performance.now(); const tick = now => {gaps.push(now - last); last = now; if (!window.stopFrames) requestAnimationFrame(tick)}; window.stopFrames = false; requestAnimationFrame(tick); true}`

// stopFrames is an expression for the longest time between frames, the number of frames, and the
// number of those times over 100 ms.
const stopFrames = `(window.stopFrames = true, {longest: Math.max(...gaps.slice(2)), frames: gaps.length, over: gaps.filter(g => g > 100).length})`

type measured struct {
	Longest      float64
	Frames, Over int
}

// flood returns messages of the app shop, numbered upwards from n.
func flood(n, count int) [][]byte {
	messages := make([][]byte, count)
	for i := range messages {
		text, _ := json.Marshal(fmt.Sprintf("number %d %s\n", n+i, samples[i%len(samples)])) // marshalling a string cannot fail
		messages[i] = fmt.Appendf(nil, `{"log":%s,"stream":"stdout","time":%q,"kubernetes":{"pod_name":"shop-web-1234567890-abcde","labels":{"app":"shop","type":"web","version":"v1"}}}`, text, time.Now().Format(time.RFC3339Nano))
	}
	return messages
}

// TestFlood: the view keeps up with a flood, holds no more lines than its limit, and says exactly
// how many have left it. docs/page.md has the figures that it measures.
func TestFlood(t *testing.T) {
	const rate, before = 5000, 100_000
	seconds := int(floodTime.Seconds())
	s := start(t, map[string]string{"NUMBER_OF_LINES": "500000", "LOGGER_MEMORY_MAX_BYTES": "1GiB"})
	s.say(t, "shop", "number 0")
	p := open(t, s.URL+"/apps/shop")
	p.until("the line is shown", lastLine+" === 'number 0'")
	newest := func(n int) {
		t.Helper()
		p.until("the newest line is shown", fmt.Sprintf("document.querySelector('.rows .line:last-child .message').innerText.startsWith('number %d ')", n))
	}
	for n := 0; n < before; n += 10_000 { // fills the view
		s.queue.Publish("logs", flood(n+1, 10_000)...)
		newest(n + 10_000)
	}
	value[bool](p, frames)
	begun := time.Now()
	for n := range seconds * 10 {
		s.queue.Publish("logs", flood(before+n*rate/10+1, rate/10)...)
		time.Sleep(time.Until(begun.Add(time.Duration(n+1) * time.Second / 10)))
	}
	last := before + rate*seconds
	newest(last)
	took := time.Since(begun)
	m := value[measured](p, stopFrames)
	heap := p.number("performance.memory.usedJSHeapSize / (1 << 20)")
	t.Logf("%d lines in %.1f s: longest time between frames %.0f ms, %d of %d over 100 ms, heap %.0f MiB", rate*seconds, took.Seconds(), m.Longest, m.Over, m.Frames, heap)
	if n := p.number("document.querySelectorAll('.rows > *').length"); n > 200 {
		t.Errorf("%v rows are in the document", n)
	}
	if gaps := p.number("document.querySelectorAll('.gap').length"); gaps != 0 {
		t.Errorf("%v gaps", gaps)
	}
	value[bool](p, frames)
	for range 40 { // scrolls from one end of the view to the other and back
		value[bool](p, `new Promise(done => {const list = document.querySelector('.list'); list.scrollTop = 2000 + Math.random() * (list.scrollHeight - 4000); requestAnimationFrame(() => requestAnimationFrame(() => done(true)))})`)
	}
	for range 30 {
		p.wheel(-400)
	}
	m = value[measured](p, stopFrames)
	t.Logf("scrolling %v pixels of lines: longest time between frames %.0f ms, %d of %d over 100 ms", p.number("document.querySelector('.list').scrollHeight"), m.Longest, m.Over, m.Frames)
	p.picture("flood")
	// Lines are numbered from 0. So the first line in the view is also the number of lines that
	// left it.
	left := value[[]string](p, `new Promise(done => {document.querySelector('.list').scrollTop = 0
		requestAnimationFrame(() => requestAnimationFrame(() => done([document.querySelector('.head').innerText, document.querySelector('.rows .line .message').innerText])))})`)
	var first int
	if _, err := fmt.Sscanf(left[1], "number %d ", &first); err != nil || first < last-110_000 {
		t.Errorf("the first line in the view is %q", left[1])
	}
	if want := count(first) + " lines before these are not in this view"; !strings.Contains(left[0], want) {
		t.Errorf("the view says %q, want %q", left[0], want)
	}
	p.until("what left the view is loaded", fmt.Sprintf("document.querySelector('.head').innerText.includes('%s lines before these')", count(first-2000)))
}

// TestSkippedLinesComeBack: if lines come faster than the page may take, the page says how many it
// skipped, and where. If that place comes into sight, it loads them. Then each line is there once,
// for one app and for several.
func TestSkippedLinesComeBack(t *testing.T) {
	const before, each = 50, 3000
	s := start(t, map[string]string{"NUMBER_OF_LINES": "10000"})
	for path, apps := range map[string][]string{"/apps/shop": {"shop"}, "/?app=two-*": {"two-a", "two-b"}} {
		for _, app := range apps {
			s.say(t, app, numbered(1, before)...)
		}
		p := open(t, s.URL+path)
		p.until("the lines are shown", fmt.Sprintf("document.querySelector('.state')?.innerText === 'Live' && %s === 'number %d'", lastLine, before))
		value[bool](p, "import('/assets/api.js').then(api => (api.backlog.lines = 100, true))")
		last := before
		for range 5 { // one round is enough if the browser is not kept waiting
			if value[bool](p, "Boolean(document.querySelector('.skipping'))") {
				break
			}
			for _, app := range apps {
				s.say(t, app, numbered(last+1, last+each)...)
			}
			last += each
			p.until("the newest line is shown", fmt.Sprintf("%s === 'number %d'", lastLine, last))
		}
		if told := p.text(".skipping"); !strings.HasSuffix(told, " skipped") {
			t.Fatalf("%s: nothing was skipped: %q", path, told)
		} else {
			t.Logf("%s: %s of %d", path, told, last*len(apps))
		}
		p.press("g")
		for end := time.Now().Add(patience); value[bool](p, "Boolean(document.querySelector('.skipping'))") && time.Now().Before(end); {
			value[bool](p, `(async () => {
				const list = document.querySelector('.list')
				list.scrollTop = list.scrollTop + 2 * list.clientHeight > list.scrollHeight ? 40 : list.scrollTop + list.clientHeight / 2
				await new Promise(requestAnimationFrame)
				await new Promise(done => setTimeout(done, document.querySelector('.gap.skipped') ? 50 : 0))
				return true
			})()`)
		}
		p.until("what was loaded is drawn", "!document.querySelector('.gap.skipped')")
		shown := p.walk()
		for _, app := range apps {
			if len(apps) == 1 {
				app = "" // lines of a page of one app do not name it
			}
			if got := shown[app]; !slices.Equal(got, numbers(1, last)) {
				t.Errorf("%s: of %d lines of %q the view has %d: %.300s", path, last, app, len(got), fmt.Sprint(got))
			}
		}
		if told := p.text(".skipping") + p.text(".gap.skipped"); told != "" {
			t.Errorf("%s: the view still says %q", path, told)
		}
	}
}

// count returns a number as the page writes it.
func count(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", count(n/1000), n%1000)
}

// TestFirstLine: the first line is in sight within 300 ms of the request for the page, at least
// once in 20 tries: other load may slow the browser down. docs/page.md has the figures that it
// measures.
func TestFirstLine(t *testing.T) {
	s := start(t)
	s.say(t, "shop", numbered(1, 1000)...)
	p := open(t, "about:blank")
	script := page.AddScriptToEvaluateOnNewDocumentParams{Source: `new MutationObserver((_, o) => {
		if (!document.querySelector('.rows .line')) return
		o.disconnect()
		requestAnimationFrame(() => requestAnimationFrame(now => (window.firstLine = now)))
	}).observe(document, {subtree: true, childList: true})`}
	if _, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, script); err != nil {
		t.Fatal(err)
	}
	var took []float64
	for len(took) < 5 || slices.Min(took) > 300 && len(took) < 20 {
		p.do(chromedp.Navigate(s.URL + "/apps/shop"))
		p.until("a line is in sight", "window.firstLine")
		took = append(took, p.number("firstLine"))
	}
	t.Logf("the first line is in sight after %.0f ms", took)
	if slices.Min(took) > 300 {
		t.Error("that is more than 300 ms each time")
	}
}
