package page

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/deis/logger/internal/testwait"
)

// patience bounds the time that a test waits for the page.
const patience = 20 * time.Second

// tab holds a page in its own Chromium.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu sync.Mutex
	// complaints has what the browser reports against the page: exceptions, console errors, and
	// violations of its policy.
	complaints []string
	hearing    sync.WaitGroup
}

// open starts a Chromium, which ends with the test, and opens a URL in it. The test fails if the
// browser has a complaint that contains none of the expected texts.
func open(t *testing.T, url string, expected ...string) *tab {
	t.Helper()
	profile, err := os.MkdirTemp("", "e2e-page")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	options := slices.Concat(chromedp.DefaultExecAllocatorOptions[:], []chromedp.ExecAllocatorOption{
		chromedp.NoSandbox, chromedp.UserDataDir(profile), chromedp.ExecPath("chromium"), chromedp.WindowSize(1200, 760),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Env("PATH="+os.Getenv("PATH"), "HOME="+profile, "TZ=UTC"), chromedp.WSURLReadTimeout(time.Minute),
		chromedp.ModifyCmdFunc(func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Chromium runs many processes
			cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		}),
	})
	allocator, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	p := &tab{t: t, ctx: ctx}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: complaints %q", url, p.complaints)
		}
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("close Chromium: %v", err)
		}
		cancel()
		end()
		p.hearing.Wait()
		for _, complaint := range p.complaints {
			if !slices.ContainsFunc(expected, func(e string) bool { return strings.Contains(complaint, e) }) {
				t.Errorf("the browser complains: %s", complaint)
			}
		}
	})
	// The browser starts in the context of the tab: if a shorter context started it, the browser
	// would end with that.
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("%v; tools/install-test-deps.sh installs Chromium", err)
	}
	p.hearing.Go(p.hear)
	p.do(chromedp.Navigate(url))
	return p
}

// hear records the complaints of the browser.
func (p *tab) hear() {
	for message, err := range chromedp.Console(p.ctx) {
		if err != nil {
			return
		}
		if message.IsException() || message.Type == "error" || message.Type == "warning" {
			p.mu.Lock()
			p.complaints = append(p.complaints, message.Text+" "+message.URL)
			p.mu.Unlock()
		}
	}
}

// do performs the actions on the page.
func (p *tab) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.t.Fatal(err)
	}
}

// value evaluates an expression and returns its value. If that is a promise, value awaits it.
func value[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%.200s: %v", expression, err)
	}
	return v
}

// text returns the text of the first element that matches the selector.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return value[string](p, fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector))
}

// texts returns the texts of all elements that match the selector.
func (p *tab) texts(selector string) []string {
	p.t.Helper()
	return value[[]string](p, fmt.Sprintf("[...document.querySelectorAll(%q)].map(e => e.innerText)", selector))
}

// number returns the number that an expression evaluates to.
func (p *tab) number(expression string) float64 {
	p.t.Helper()
	return value[float64](p, expression)
}

// until waits until an expression is true.
func (p *tab) until(what, expression string) {
	p.t.Helper()
	testwait.Within(p.t, patience, what, func() bool { return value[bool](p, "Boolean("+expression+")") },
		func() string { return fmt.Sprintf("the page shows %.2000s", p.text("body")) })
}

// untilText waits until the first element that matches the selector contains the text.
func (p *tab) untilText(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("%s says %q", selector, text), fmt.Sprintf("document.querySelector(%q)?.innerText.includes(%q)", selector, text))
}

// scrollToOldest scrolls up until the oldest kept line is loaded.
func (p *tab) scrollToOldest() {
	p.t.Helper()
	for range 20 { // each round loads a part
		p.press("g")
		p.until("a part is read", "!document.querySelector('.head').innerText.includes('Reading')")
		if strings.Contains(p.text(".head"), "oldest") {
			break
		}
	}
	p.untilText(".head", "This is the oldest line that is kept")
}

func (p *tab) click(selector string) {
	p.t.Helper()
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// press sends keys to the element that has the focus.
func (p *tab) press(keys string) {
	p.t.Helper()
	p.do(chromedp.KeyEvent(keys))
}

// wheel turns the mouse wheel over the middle of the window.
func (p *tab) wheel(y float64) {
	p.t.Helper()
	params := map[string]any{"type": "mouseWheel", "x": 500, "y": 400, "deltaX": 0, "deltaY": y}
	if _, err := chromedp.Call(p.ctx, cdp.Command[map[string]any, cdp.Empty]{Method: "Input.dispatchMouseEvent"}, params); err != nil {
		p.t.Fatal(err)
	}
}

// enter types a text into a field and leaves the field.
func (p *tab) enter(selector, text string) {
	p.t.Helper()
	p.do(chromedp.Focus(chromedp.CSS(selector)))
	value[bool](p, "{document.activeElement.select(); true}")
	p.do(chromedp.SendKeys(chromedp.CSS(selector), text+kb.Enter))
}

// choose chooses an option in the list with that label.
func (p *tab) choose(label, option string) {
	p.t.Helper()
	if !value[bool](p, fmt.Sprintf(`(() => {
		const list = [...document.querySelectorAll('label')].find(l => l.firstChild.data === %q)?.querySelector('select')
		if (!list || ![...list.options].some(o => o.value === %[2]q)) return false
		list.value = %[2]q
		return list.dispatchEvent(new Event('change', {bubbles: true}))
	})()`, label, option)) {
		p.t.Fatalf("there is no %s %s", label, option)
	}
}

// size sets the size of the window.
func (p *tab) size(width, height int64) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, height))
}

// scheme sets the preferred colour scheme, light or dark.
func (p *tab) scheme(name string) {
	p.t.Helper()
	params := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: name}}}
	if _, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, params); err != nil {
		p.t.Fatal(err)
	}
}

// screenshots names the folder for the tests' screenshots. If it is empty, none are kept.
var screenshots = flag.String("screenshots", "", "folder for screenshots of the page")

// picture takes a screenshot, and keeps it in the folder of the flag screenshots.
func (p *tab) picture(name string) []byte {
	p.t.Helper()
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatal(err)
	}
	if *screenshots != "" {
		if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	return png
}
