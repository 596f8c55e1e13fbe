package page

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// samples has lines of the kinds that programs print.
var samples = []string{
	"GET /healthz 200 1.2ms",
	`{"level":"info","msg":"request served","path":"/cart/42","status":200,"took_ms":12.4,"user":{"id":7,"plan":"pro"}}`,
	`level=warn msg="retrying payment" attempt=2 order=8812`,
	"ERROR: could not connect to db-1.internal:5432: connection refused\n    at Pool.connect (/srv/app/pool.js:45:11)\n    at async Orders.load (/srv/app/orders.js:120:5)",
	"\x1b[32mready\x1b[0m on \x1b[1;36mhttp://0.0.0.0:5000\x1b[0m in \x1b[33m482 ms\x1b[0m",
	`{"severity":"error","message":"checkout failed","error":"card declined","items":[{"sku":"A-1","n":2},{"sku":"B-9","n":1}]}`,
	"DEBUG cache miss key=user:7:profile",
	"FATAL out of memory",
	"TRACE enter handler",
	"INFO listening; " + strings.Repeat("a long line that goes on ", 12),
}

// contrasts is an expression for the texts in sight whose contrast, as WCAG 2 computes it, is below
// 4.5.
const contrasts = `(() => {
	const rgb = text => (text.match(/[\d.]+/g) ?? []).map(Number)
	const luminance = ([r, g, b]) => [r, g, b].map(v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0)
	const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c } return [255, 255, 255] }
	const bad = []
	const walker = document.createTreeWalker(document.getElementById('page'), NodeFilter.SHOW_TEXT)
	for (let n; n = walker.nextNode();) {
		const e = n.parentElement, style = getComputedStyle(e)
		if (!n.data.trim() || style.visibility === 'hidden' || e.closest('option, datalist, :disabled') || !e.checkVisibility()) continue
		const front = rgb(style.color), behind = ground(e)
		for (let o = e; o; o = o.parentElement) { const a = Number(getComputedStyle(o).opacity); if (a < 1) front.forEach((v, i) => front[i] = v * a + behind[i] * (1 - a)) }
		const [a, b] = [luminance(front), luminance(behind)].sort((x, y) => y - x)
		if ((a + .05) / (b + .05) < 4.5) bad.push(e.className + ' ' + n.data.trim().slice(0, 20) + ' ' + ((a + .05) / (b + .05)).toFixed(2))
	}
	return [...new Set(bad)]
})()`

// TestEveryTextIsReadable: in light, in dark and on a phone, each text has the contrast that WCAG's
// AA asks for, and nothing is cut off at the side.
func TestEveryTextIsReadable(t *testing.T) {
	s := start(t, map[string]string{"NUMBER_OF_LINES": "400"})
	s.say(t, "billing", samples...)
	for range 8 {
		s.say(t, "shop", samples...)
	}
	var colours []string
	for c := range 16 {
		colours = append(colours, fmt.Sprintf("\x1b[38;5;%dmcolour %d\x1b[0m \x1b[48;5;%[1]dmground %[1]d\x1b[0m \x1b[2;38;5;%[1]dmdim\x1b[0m", c, c))
	}
	s.say(t, "shop", colours...)
	s.say(t, "shop", samples...)
	p := open(t, s.URL+"/")
	p.untilText("tbody", "shop")
	check := func(name string) {
		t.Helper()
		if bad := value[[]string](p, contrasts); len(bad) > 0 {
			t.Errorf("%s: too little contrast: %q", name, bad)
		}
		if wide := p.number("document.documentElement.scrollWidth - innerWidth"); wide > 0 {
			t.Errorf("%s: the page is %v pixels too wide", name, wide)
		}
		p.picture(name)
	}
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		check("apps-" + scheme)
	}
	p.click("tbody tr:nth-child(2) a")
	p.until("the lines are shown", "document.querySelectorAll('.rows .line').length > 20")
	p.do(chromedp.SendKeys(chromedp.CSS(".find"), "cache"))
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		check("app-" + scheme)
	}
	p.size(360, 740)
	p.scheme("light")
	p.do(chromedp.Reload())
	p.until("the lines are shown", "document.querySelectorAll('.rows .line').length > 5")
	p.until("lines wrap on a phone", "document.querySelector('.list.wrapped')")
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		check("phone-" + scheme)
	}
	p.click("summary")
	p.until("the filters are open", "document.querySelector('.tools').open")
	check("phone-filters")
}

// TestKeys: the page can be used without a mouse.
func TestKeys(t *testing.T) {
	s := start(t)
	texts := numbered(1, 400)
	for _, n := range []int{50, 150, 250} {
		texts[n] = fmt.Sprintf("ERROR needle %d", n)
	}
	s.say(t, "shop", texts...)
	p := open(t, s.URL+"/apps/shop")
	p.until("the lines are shown", lastLine+" === 'number 400'")
	at := func(what, want string) {
		t.Helper()
		p.until(what, fmt.Sprintf("document.querySelector('.line.current .message')?.innerText.trim() === %q && (r => r.top > 80 && r.bottom < innerHeight)(document.querySelector('.line.current').getBoundingClientRect())", want))
	}
	p.press("E")
	at("the last error", "ERROR needle 250")
	p.press("E")
	at("the error before", "ERROR needle 150")
	p.press("e")
	at("the next error", "ERROR needle 250")
	p.press("e")
	p.untilText(".told", "No error below")
	find := func(keys string) {
		t.Helper()
		p.press("/")
		p.until("the search has the focus", "document.activeElement.matches('.find')")
		value[bool](p, "{document.activeElement.select(); true}") // the driver also types the slash, which a keyboard would not
		p.press(keys)
	}
	find("NEEDLE" + kb.Enter)
	p.untilText(".told", "No match below")
	p.press(kb.Escape)
	find("needle")
	value[bool](p, "{document.activeElement.blur(); true}")
	p.press("N")
	at("the match before", "ERROR needle 150")
	if mark := p.text(".line.current mark"); mark != "needle" {
		t.Errorf("the match is marked as %q", mark)
	}
	p.press("N")
	at("the first match", "ERROR needle 50")
	p.press("n")
	at("the next match", "ERROR needle 150")
	p.press("g")
	at("the oldest line", "number 1")
	p.press("G")
	p.until("the newest line", lastLine+" === 'number 400' && !document.querySelector('.fresh')")
	for name, selector := range map[string]string{"the lines": ".list[role=log][aria-label]", "the state": ".state[role=status]", "the search": "input.find[aria-label]"} {
		if p.number("document.querySelectorAll("+fmt.Sprintf("%q", selector)+").length") != 1 {
			t.Errorf("%s has no name for a screen reader", name)
		}
	}
	if unnamed := value[[]string](p, `[...document.querySelectorAll('button, input, select')].filter(e => !e.textContent.trim() && !e.ariaLabel && !e.closest('label')?.textContent.trim()).map(e => e.outerHTML)`); len(unnamed) > 0 {
		t.Errorf("without a name: %q", unnamed)
	}
}

// TestHowLinesAreShown: JSON opens, long lines wrap, times are in a chosen zone, and preferences
// are kept.
func TestHowLinesAreShown(t *testing.T) {
	s := start(t)
	s.say(t, "shop", samples...)
	s.say(t, "shop", strings.Repeat("0123456789", 900)+"END")
	p := open(t, s.URL+"/apps/shop")
	p.until("the lines are shown", "document.querySelectorAll('.rows .line').length === 11")
	messages := trimmed(p.texts(".rows .message"))
	if want := `▸request served path=/cart/42 status=200 took_ms=12.4 user={"id":7,"plan":"pro"}`; messages[1] != want {
		t.Errorf("JSON is shown as %q, want %q", messages[1], want)
	}
	if messages[4] != "ready on http://0.0.0.0:5000 in 482 ms" {
		t.Errorf("colours are shown as %q", messages[4])
	}
	if got := p.texts(".rows .line:nth-child(5) span span"); !slices.Equal(got, []string{"ready", "http://0.0.0.0:5000", "482 ms"}) {
		t.Errorf("coloured are %q", got)
	}
	if levels := p.texts(".rows .level"); !slices.Equal(levels, []string{"", "info", "warn", "error", "", "error", "debug", "fatal", "trace", "info", ""}) {
		t.Errorf("levels are %q", levels)
	}
	if !strings.HasSuffix(messages[10], "… 5,003 more characters") {
		t.Errorf("the long line ends in %q", messages[10][len(messages[10])-60:])
	}
	p.click(".rows .line:nth-child(11) .open")
	p.until("the long line is whole", "document.querySelector('.rows .line:nth-child(11)').innerText.trim().endsWith('END')")
	p.click(".rows .line:nth-child(11) .open")
	p.click(".rows .line:nth-child(6) .open")
	p.until("the object is a tree", "document.querySelector('.tree .tree .tree')")
	if tree := p.text(".tree"); !strings.Contains(tree, `sku: "B-9"`) {
		t.Errorf("the tree is %q", tree)
	}
	p.picture("tree")
	if wide := p.number("(l => l.scrollWidth - l.clientWidth)(document.querySelector('.list'))"); wide <= 0 {
		t.Error("long lines are not as long as they are")
	}
	p.click(".menu summary")
	p.click("input[name=wrap]")
	p.until("lines wrap", "(l => l.scrollWidth <= l.clientWidth)(document.querySelector('.list'))")
	p.choose("Times", "relative")
	p.untilText(".rows .time", " ago")
	p.do(chromedp.Reload())
	p.untilText(".rows .time", " ago")
	p.until("the browser keeps that lines wrap", "document.querySelector('.list.wrapped')")
}

// TestCopyAndDownload: the selected lines are copied as text. A download has all lines that pass
// the filters.
func TestCopyAndDownload(t *testing.T) {
	s := start(t)
	s.say(t, "shop", "\x1b[31mone\x1b[0m", "two", "ERROR three")
	p := open(t, s.URL+"/apps/shop?exclude=two")
	p.until("the lines are shown", "document.querySelectorAll('.rows .line').length === 2")
	value[bool](p, `{window.copied = []; navigator.clipboard.writeText = async text => void copied.push(text)
		window.saved = []; const make = URL.createObjectURL; URL.createObjectURL = blob => (saved.push(blob.text()), make(blob)); true}`)
	p.click(".rows .line:nth-child(1) .time")
	value[bool](p, "{document.querySelector('.rows .line:nth-child(2) .time').dispatchEvent(new MouseEvent('click', {shiftKey: true, bubbles: true, cancelable: true})); true}")
	p.untilText(".pill", "2 lines")
	p.click(".pill button")
	p.untilText(".told", "2 lines copied")
	if got := value[[]string](p, "copied"); len(got) != 1 || !strings.Contains(got[0], " web.abcde: one\n") || !strings.HasSuffix(got[0], " web.abcde error: ERROR three\n") || strings.Contains(got[0], "\x1b") {
		t.Errorf("copied: %q", got)
	}
	p.press(kb.Escape)
	p.until("nothing is selected", "!document.querySelector('.pill:not(.fresh)') && location.hash === ''")
	for format, button := range map[string]string{"text": "Text", "ndjson": "NDJSON"} {
		value[bool](p, fmt.Sprintf("{saved = []; [...document.querySelectorAll('button')].find(b => b.textContent === %q).click(); true}", button))
		p.until("it is downloaded", "saved.length === 1")
		_, _, want := s.Do("GET", "/v1/apps/shop/logs?lines=-1&exclude=two&format="+format)
		if got := value[string](p, "saved[0]"); got != string(want) || len(want) == 0 {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
}
