package test

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// An operator without a mouse comes past the navigation at once, reaches everything in the order in
// which it is read, and sees where they are.
func TestDashboardByKeyboard(t *testing.T) {
	browser := startBrowser(t)
	p := startDashboard(t, t.TempDir(), "--mode", "stock")
	makeTraffic(t, p)
	b := openTab(t, browser)
	b.visit(p.loginLink())

	b.press(kb.Tab)
	if at := b.focused(); at.Text != "Skip to the content" || !at.Seen {
		t.Errorf("the first stop is %+v", at)
	}
	b.press(kb.Enter)
	b.waitFor(`document.activeElement.id === "main"`)
	b.press(kb.Tab)
	if !eval[bool](b, `document.querySelector("main").contains(document.activeElement)`) {
		t.Errorf("after the skip link the next stop is %+v", b.focused())
	}

	for _, page := range []string{"/", "/senders", "/handshakes", "/fallback"} {
		b.visit(b.page(page))
		var stops []string
		for range 200 {
			b.press(kb.Tab)
			at := b.focused()
			if at.Place < 0 {
				break // after the last
			}
			if !at.Seen || !at.Marked {
				t.Errorf("%s: the focus cannot be seen: %+v", page, at)
			}
			if at.Place != len(stops) {
				t.Errorf("%s: stop %d is number %d in the page: %s", page, len(stops), at.Place, at.Text)
			}
			stops = append(stops, at.Text)
		}
		if want := eval[int](b, "("+focusable+").length"); len(stops) != want {
			t.Errorf("%s: %d stops, want %d: %q", page, len(stops), want, stops)
		}
	}

	// By keys to the failures of a sender, and to one of them.
	b.visit(b.page("/handshakes"))
	b.on("[name=sender]", "focus()")
	b.press("strict.test" + kb.Tab + " " + kb.Enter)
	b.waitFor(`location.search.includes("sender=strict.test") && location.search.includes("failed=1")`)
	b.visit(eval[string](b, "location.href")) // until it has loaded
	b.on("tbody th a", "focus()")
	b.press(kb.Enter)
	b.waitFor(`document.querySelector("h1")?.innerText.startsWith("Handshake ")`)
}

// press presses keys, one after the other.
func (b *tab) press(keys string) {
	b.t.Helper()
	act(b, chromedp.KeyEvent(keys))
}

// focusable is in the browser what the Tab key leads to, in the order of the page.
const focusable = `[...document.querySelectorAll("a[href], button, input:not([type=hidden]), select, summary, [tabindex='0']")]
	.filter(e => e.checkVisibility({ visibilityProperty: true }) && !e.disabled)`

// A stop is where the focus is.
type stop struct {
	Text   string
	Place  int  // among those that are focusable; less than 0: at none
	Seen   bool // it is on the screen
	Marked bool // by an outline
}

func (b *tab) focused() stop {
	b.t.Helper()
	return eval[stop](b, fmt.Sprintf(`(() => {
		const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
		const top = document.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height, innerHeight) / 2);
		return {
			Text: e.innerText || e.name || e.getAttribute("aria-label") || e.tagName,
			Place: (%s).indexOf(e),
			Seen: box.width > 0 && box.bottom > 0 && box.top < innerHeight && (e.contains(top) || !!top && top.contains(e)),
			Marked: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
		};
	})()`, focusable))
}
