package test

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/chromedp/chromedp"
)

var screenshots = flag.String("screenshots", "", "write pictures of the demo's dashboard into this folder, for make screenshots")

// maxScreenshot bounds a picture in the documentation, in bytes.
const maxScreenshot = 200 << 10

// The pictures of the documentation are those of the demo.
func TestScreenshots(t *testing.T) {
	if *screenshots == "" {
		t.Skip("only for make screenshots")
	}
	browser := startBrowser(t)
	d := launchCommand(t, exec.Command(labProgram, "demo", "--dashboard", "127.0.0.1:0", "--data", filepath.Join(t.TempDir(), "demo")))
	link := regexp.MustCompile(`http://\S+/login\?token=\S+`).FindString(d.await(0, "/login?token="))
	b := openTab(t, browser)
	b.visit(link)
	origin := eval[string](b, "location.origin")
	failed := eval[string](b, `document.querySelector('main a[href^="/handshakes/"]').href`)
	if err := os.MkdirAll(*screenshots, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, picture := range []struct {
		name, page string
		look       look
	}{
		{"overview.png", origin + "/", look{1280, false}},
		{"overview-phone.png", origin + "/", look{390, true}},
		{"handshake.png", failed, look{1280, false}},
	} {
		b.show(picture.look)
		b.visit(picture.page)
		png := act(b, chromedp.CaptureScreenshot())
		if len(png) > maxScreenshot {
			t.Errorf("%s has %d bytes", picture.name, len(png))
		}
		if err := os.WriteFile(filepath.Join(*screenshots, picture.name), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.signal(syscall.SIGTERM)
	d.awaitExit()
}
