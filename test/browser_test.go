package test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/security"
	"github.com/chromedp/chromedp"
)

// startBrowser starts a Chromium without a window. It ends with the test.
func startBrowser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		unavailable(t, "chromium is not installed: run scripts/install-peers")
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience), chromedp.DisableGPU,
		// Its background services ask for hosts of their own.
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-features", "OptimizationHints,MediaRouter,Translate"))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocator, free := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		chromedp.Cancel(ctx)
		cancel()
		free()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	version, err := chromedp.CallBrowser(ctx, browser.GetVersion, cdp.Empty{})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(version.Product)
	return ctx
}

// A tab shows pages to one person, with cookies of its own. What a page must not do makes the
// test fail: a dialog, a request to another host, an error, a violation of its own
// Content-Security-Policy.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	host     string // the only one that pages may talk to
	at       string // the page, for messages
	received int    // bytes
	expected int    // an HTTP status that is not an error; 0: none
}

func openTab(t *testing.T, browser context.Context) *tab {
	t.Helper()
	return newTab(t, browser, chromedp.WithNewBrowserContext())
}

// another opens another tab of the same person.
func (b *tab) another() *tab {
	b.t.Helper()
	return newTab(b.t, b.ctx)
}

func newTab(t *testing.T, from context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(from, options...)
	t.Cleanup(cancel)
	b := &tab{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.watch); err != nil {
		t.Fatal(err)
	}
	call(b, network.Enable, network.EnableParams{})
	call(b, network.SetCacheDisabled, network.SetCacheDisabledParams{CacheDisabled: true})
	call(b, cdplog.Enable, cdp.Empty{})
	return b
}

// call runs a command of the DevTools protocol.
func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, command, params)
	if err != nil {
		b.t.Fatalf("%s: %s: %v", b.where(), command.Method, err)
	}
	return result
}

// act runs an action in the tab.
func act[T any](b *tab, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%s: %v", b.where(), err)
	}
	return result
}

// eval returns the value of a JavaScript expression. It works where pages have no JavaScript
// too.
func eval[T any](b *tab, expression string) T {
	b.t.Helper()
	return act(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// waitFor waits until a JavaScript expression is true. While another page loads, there is none
// to ask.
func (b *tab) waitFor(expression string) {
	b.t.Helper()
	eventually(b.t, func() error {
		if is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression)); err != nil || !is {
			shown, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
			return fmt.Errorf("%s: not true: %s (%v)\n%s", b.where(), expression, err, shown)
		}
		return nil
	})
}

// on does something in JavaScript to the first element that a selector matches. It is one step: a page
// that shows what happens replaces elements between two commands to the browser.
func (b *tab) on(selector, do string) {
	b.t.Helper()
	eval[bool](b, fmt.Sprintf("(e => { e.%s; return true })(document.querySelector(%q))", do, selector))
}

// text is the text of the page's content, as it is seen.
func (b *tab) text() string {
	b.t.Helper()
	return eval[string](b, `document.querySelector("main")?.innerText ?? document.body.innerText`)
}

// visit loads a page.
func (b *tab) visit(link string) {
	b.t.Helper()
	to, err := url.Parse(link)
	if err != nil {
		b.t.Fatal(err)
	}
	b.mu.Lock()
	b.host, b.at, b.received = to.Host, link, 0
	b.mu.Unlock()
	act(b, chromedp.Navigate(link))
}

func (b *tab) where() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// watch is called for each event of the tab.
func (b *tab) watch(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	complain := func(format string, args ...any) {
		b.t.Errorf("%s: %s", b.at, fmt.Sprintf(format, args...))
	}
	switch e := event.(type) {
	case *page.EventJavascriptDialogOpening:
		complain("a dialog opened: %s", e.Message)
		go chromedp.Call(b.ctx, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{})
	case *network.EventRequestWillBeSent:
		to, err := url.Parse(e.Request.URL)
		if err != nil || to.Host != b.host && to.Scheme != "about" {
			complain("a request to %s", e.Request.URL)
		}
	case *network.EventLoadingFinished:
		b.received += int(e.EncodedDataLength)
	case *runtime.EventExceptionThrown:
		complain("an exception: %s", e.ExceptionDetails.Text)
	case *cdplog.EventEntryAdded:
		failed := fmt.Sprintf("status of %d", b.expected)
		if e.Entry.Level == cdplog.EntryLevelError && !(b.expected != 0 && strings.Contains(e.Entry.Text, failed)) {
			complain("%s: %s", e.Entry.Source, e.Entry.Text)
		}
	}
}

// A look is how a page is shown.
type look struct {
	width int64
	dark  bool
}

// looks are those in which every page is tested.
var looks = []look{{390, false}, {390, true}, {1280, false}, {1280, true}}

func (l look) String() string {
	if l.dark {
		return fmt.Sprintf("%d px, dark", l.width)
	}
	return fmt.Sprintf("%d px, light", l.width)
}

// show changes how the tab shows pages. A narrow one is a phone.
func (b *tab) show(l look) {
	b.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: l.width, Height: 844, DeviceScaleFactor: 1, Mobile: l.width < 600,
	})
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

// withoutJavaScript turns JavaScript off for the pages that are loaded from now on.
func (b *tab) withoutJavaScript() {
	b.t.Helper()
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// trustCertificates makes the tab accept self-signed certificates.
func (b *tab) trustCertificates() {
	b.t.Helper()
	call(b, security.SetIgnoreCertificateErrors, security.SetIgnoreCertificateErrorsParams{Ignore: true})
}
