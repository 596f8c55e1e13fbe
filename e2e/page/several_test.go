package page

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
)

// TestSeveralAppsAreOne: the page shows several apps, chosen in the list or by a pattern, as one
// log.
func TestSeveralAppsAreOne(t *testing.T) {
	s := start(t)
	s.say(t, "shop-a", numbered(1, 3)...)
	s.say(t, "other", "secret")
	s.say(t, "shop-b", numbered(4, 6)...)
	p := open(t, s.URL+"/")
	p.until("the apps are listed", "document.querySelectorAll('tbody tr').length === 3")
	p.click("[aria-label='Choose shop-b']")
	p.click("[aria-label='Choose other']")
	p.untilText(".bar .button", "Follow 2 apps")
	p.click(".bar .button")
	shown := func(what string, want ...string) {
		t.Helper()
		p.until(what, fmt.Sprintf("[...document.querySelectorAll('.rows .line')].map(e => e.querySelector('.app').innerText + ' ' + e.querySelector('.message').innerText.trim()).join() === %q", strings.Join(want, ",")))
	}
	shown("both are shown", "other secret", "shop-b number 4", "shop-b number 5", "shop-b number 6")
	if got := value[string](p, "location.pathname + location.search"); got != "/?app=shop-b&app=other" {
		t.Errorf("the address is %s", got)
	}
	p.do(chromedp.NavigateBack())
	p.untilText("tbody", "shop-a")
	p.do(chromedp.SendKeys(chromedp.CSS(".find"), "shop-*"))
	p.until("the list has those that match", "document.querySelectorAll('tbody tr').length === 2")
	p.press(kb.Enter)
	want := []string{"shop-a number 1", "shop-a number 2", "shop-a number 3", "shop-b number 4", "shop-b number 5", "shop-b number 6"}
	shown("those that match are shown", want...)
	s.say(t, "shop-c", "number 7")
	want = append(want, "shop-c number 7")
	shown("a new app joins", want...)
	s.say(t, "shop-a", "ERROR number 8")
	want = append(want, "shop-a ERROR number 8")
	shown("they are followed", want...)
	p.until("they are counted", "document.querySelector('.chart canvas')?.checkVisibility()")
	p.picture("several")
	p.click(".rows .line:nth-child(5) .time")
	link := value[string](p, "location.href")
	if !strings.Contains(link, "app=shop-*") && !strings.Contains(link, "app=shop-%2A") || !strings.Contains(link, "#app=shop-b&cursor=") {
		t.Errorf("the link of a line is %s", link)
	}
	other := open(t, link)
	other.until("the link shows the line", "document.querySelector('.line.current .message')?.innerText.trim() === 'number 5'")
	p.choose("Level", "error")
	shown("filters are of all", "shop-a ERROR number 8")
}

// TestSeveralAppsScrollBack: lines before the view are loaded from all apps, each line once.
func TestSeveralAppsScrollBack(t *testing.T) {
	s := start(t, map[string]string{"NUMBER_OF_LINES": "3000"})
	for n := 0; n < 2400; n += 400 {
		s.say(t, fmt.Sprintf("shop-%d", n/400%2), numbered(n+1, n+400)...)
	}
	p := open(t, s.URL+"/?app=shop-*")
	p.until("the lines are shown", lastLine+" === 'number 2400'")
	p.scrollToOldest()
	if got := p.walk(); !slices.Equal(got["shop-0"], append(numbers(1, 400), append(numbers(801, 1200), numbers(1601, 2000)...)...)) || len(got["shop-1"]) != 1200 {
		t.Errorf("the view has %v", got)
	}
}

func numbers(from, to int) (all []int) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

// walk reads the whole view from top to end. It returns by app, in order, the last number in each
// line. A gap counts as the negative number of its missing lines.
func (p *tab) walk() map[string][]int {
	p.t.Helper()
	p.press("g")
	return value[map[string][]int](p, `(async () => {
		const list = document.querySelector('.list'), frame = () => new Promise(requestAnimationFrame), apps = {}, seen = new Set()
		list.scrollTop = 0
		for (let steps = 0; steps < 2000; steps++) {
			await frame()
			await new Promise(done => setTimeout(done)) // what was scrolled to is drawn now
			for (const row of document.querySelectorAll('.rows > *')) {
				if (row.querySelector('.skipped')) continue // what it stands for is about to come
				if (seen.has(row.dataset.number)) continue
				seen.add(row.dataset.number)
				const gap = /^([^:]+): ([\d,]+) lines? (?:is|are) missing/.exec(row.innerText.trim())
				const app = gap ? gap[1] : row.querySelector('.app')?.innerText ?? ''
				const number = gap ? -Number(gap[2].replaceAll(',', '')) : Number(/(\d+)\s*$/.exec(row.querySelector('.message').innerText)?.[1] ?? 0) // 0: not one of ours
				;(apps[app] ??= []).push(number)
			}
			if (list.scrollTop + list.clientHeight > list.scrollHeight - 5) break
			list.scrollTop += list.clientHeight
		}
		return apps
	})()`)
}

// TestSeveralAppsWithKills: a page follows 20 apps by a pattern, over one connection, while plugins
// are killed and the connection is cut. Each line of each app is there once, or a gap counts it.
func TestSeveralAppsWithKills(t *testing.T) {
	const apps, kept = 20, 60
	queue := harness.NewQueue(t)
	s := system{harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.Storages["redis"](t), map[string]string{"NUMBER_OF_LINES": fmt.Sprint(kept)}), queue}
	proxy := nsqtest.NewProxy(t, strings.TrimPrefix(s.URL, "http://"))
	last := 0
	publish := func(n int) {
		for range n {
			last++
			for app := range apps {
				queue.Publish("logs", harness.Numbered(last, app))
			}
		}
	}
	publish(5)
	s.Settled(last * apps)
	p := open(t, "http://"+proxy.Addr()+"/?app=app-*", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE", "ERR_TIMED_OUT", "503 (Service Unavailable)")
	p.until("lines are shown", "document.querySelectorAll('.rows .line').length > 20")
	// complete waits until the page shows every app, and of approves of what it shows of each.
	complete := func(what string, of func(shown []int) bool) {
		t.Helper()
		s.Settled(last * apps)
		all := map[string][]int{}
		for end := time.Now().Add(patience); time.Now().Before(end); {
			all = p.walk()
			whole := len(all) == apps
			for _, shown := range all {
				whole = whole && of(shown)
			}
			if whole {
				return
			}
		}
		t.Errorf("%s: of %d lines each, the page shows %v", what, last, all)
	}
	for _, kind := range []string{"storage", "aggregator"} {
		s.Until("there is the plugin", func() bool { return s.Plugin(kind).PID > 0 })
		publish(5)
		if err := syscall.Kill(s.Plugin(kind).PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		publish(5)
		proxy.Cut()
		publish(5)
	}
	complete("after kills and cuts", func(shown []int) bool {
		slices.Sort(shown) // lines that the queue delivers again are late
		return slices.Equal(shown, numbers(1, last))
	})
	p.press("G")
	proxy.Freeze()
	proxy.Cut()
	publish(kept + 25)
	s.Settled(last * apps)
	proxy.Thaw()
	proxy.Cut()
	complete("after more than is kept", func(shown []int) bool {
		missing, lines := 0, 0
		for _, n := range shown {
			if n < 0 {
				missing -= n
			} else {
				lines++
			}
		}
		return missing > 0 && missing+lines == last
	})
}
