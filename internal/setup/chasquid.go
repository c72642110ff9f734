package setup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"postern/internal/certs"
)

// chasquidFolder is where chasquid has its configuration unless it is told otherwise.
const chasquidFolder = "/etc/chasquid"

// bySystemd is the address of sockets that systemd passes to chasquid.
const bySystemd = "systemd"

// chasquidSetting matches a line of chasquid.conf that has a text.
var chasquidSetting = regexp.MustCompile(`(?m)^\s*([a-z_]+)\s*:\s*"([^"]*)"`)

// A chasquid is what was read of the configuration of a chasquid.
type chasquid struct {
	path      string   // of the program
	addresses []string // where it takes mail of other servers
}

// findChasquid returns the chasquid of this machine, nil if there is none.
func findChasquid(ctx context.Context, _ *Machine) *server {
	path, err := exec.LookPath("chasquid")
	if err != nil {
		return nil
	}
	printed, err := output(ctx, path, "-version")
	if err != nil {
		return nil
	}
	version, _, _ := strings.Cut(strings.TrimPrefix(printed, "chasquid "), " ")
	s := &server{name: "chasquid", version: version}
	configuration, err := os.ReadFile(filepath.Join(chasquidFolder, "chasquid.conf"))
	if err != nil {
		s.notes = append(s.notes, fmt.Sprintf("Its configuration is not in %s.", chasquidFolder))
		return s
	}
	settings := chasquidSettings(string(configuration))
	if names := settings["hostname"]; names != nil {
		s.hostname = names[len(names)-1]
	}
	for _, folder := range glob(chasquidFolder, "domains/*") {
		s.domains = append(s.domains, filepath.Base(folder))
	}
	for _, cert := range glob(chasquidFolder, "certs/*/fullchain.pem") {
		s.certificates = append(s.certificates, loadCertificates("chasquid", certs.Pair{CertFile: cert, KeyFile: filepath.Join(filepath.Dir(cert), "privkey.pem")})...)
	}
	if _, err := output(ctx, path, "-config_overrides=", "-version"); err != nil {
		s.notes = append(s.notes, "It has no -config_overrides, which the plan needs: install 1.11 or later.")
		return s
	}
	c := &chasquid{path: path, addresses: settings["smtp_address"]}
	if c.addresses == nil {
		c.addresses = []string{bySystemd}
	}
	s.steps = c.handover
	return s
}

// chasquidSettings returns the texts of each setting.
func chasquidSettings(configuration string) map[string][]string {
	settings := make(map[string][]string)
	for _, found := range chasquidSetting.FindAllStringSubmatch(configuration, -1) {
		settings[found[1]] = append(settings[found[1]], found[2])
	}
	return settings
}

// glob returns the paths below a folder that match a pattern, which is valid.
func glob(folder, pattern string) []string {
	paths, _ := filepath.Glob(filepath.Join(folder, pattern))
	return paths
}

// What belongs to the second chasquid.
const (
	chasquidUnit = "chasquid-postern.service"
	chasquidData = "/var/lib/chasquid-postern"
)

// handover starts a second chasquid for mail from Postern: chasquid expects PROXY headers either
// at all its ports, those of its users included, or at none. Both have the same domains, users
// and aliases. The second has a data folder of its own, since two cannot share a queue, and
// since mail arrives there without TLS: chasquid refuses that from a domain of which it has
// received mail over TLS.
func (c *chasquid) handover(m *Machine) handover {
	address := "127.0.0.1:" + m.freePort(nil)
	command := fmt.Sprintf(`%s -config_overrides='smtp_address: "%s" submission_address: "%s" submission_over_tls_address: "%[3]s" data_dir: "%s" haproxy_incoming: true'`,
		c.path, address, bySystemd, chasquidData)
	h := handover{
		nextHop: "smtp://" + address + "?proxy=v1&starttls=off",
		sees:    "sees the sender's address by the PROXY protocol",
		stays:   true,
		notes:   []string{"Mail from Postern gets a second chasquid, with the domains, users, aliases and hooks of the first. It has a queue of its own, in " + chasquidData + "/queue."},
	}
	if !m.systemd {
		h.open = []string{
			"# Start a second chasquid, as the user of the first, with what starts services here:",
			"#    " + command,
			"install -d -m 700 -o chasquid -g chasquid " + chasquidData,
		}
		h.back = []string{"# Stop the second chasquid when its queue is empty."}
	} else {
		unit := "/etc/systemd/system/" + chasquidUnit
		h.open = []string{
			writeFile(unit, strings.Join([]string{
				"[Unit]",
				"Description=chasquid mail daemon (for mail from Postern)",
				"",
				"[Service]",
				"ExecStart=" + command,
				"Restart=always",
				"User=chasquid",
				"Group=chasquid",
				"StateDirectory=" + filepath.Base(chasquidData),
				"StateDirectoryMode=0700",
				"ProtectSystem=full",
				"",
				"[Install]",
				"WantedBy=multi-user.target",
			}, "\n")+"\n"),
			"systemctl daemon-reload",
			"systemctl enable --now " + chasquidUnit,
		}
		h.back = []string{"# when its queue is empty:", "systemctl disable --now " + chasquidUnit, "rm " + unit}
	}
	c.leavePort(m, &h)
	return h
}

// leavePort leaves port 25 of addresses that other machines can reach, and keeps it on loopback.
func (c *chasquid) leavePort(m *Machine, h *handover) {
	loopback := []string{"127.0.0.1:25"}
	if m.listensOnLoopback("::1") {
		loopback = append(loopback, "[::1]:25")
	}
	if slices.Contains(c.addresses, bySystemd) && m.systemd {
		folder := "/etc/systemd/system/chasquid-smtp.socket.d"
		content := "[Socket]\nListenStream=\nListenStream=" + strings.Join(loopback, "\nListenStream=") + "\n"
		again := []string{"systemctl daemon-reload", "systemctl stop chasquid.service chasquid-smtp.socket", "systemctl start chasquid-smtp.socket chasquid.service"}
		h.leave = append([]string{"mkdir -p " + folder, writeFile(folder+"/postern.conf", content)}, again...)
		h.back = append(append(h.back, "rm "+folder+"/postern.conf"), again...)
		return
	}
	file := filepath.Join(chasquidFolder, "chasquid.conf")
	restart := m.restart("chasquid", "# Restart chasquid, with what starts services here.")
	const mark = "Port 25 of other addresses is that of Postern"
	var lines strings.Builder
	fmt.Fprintf(&lines, "# %s.\n", mark)
	for _, address := range loopback {
		fmt.Fprintf(&lines, "smtp_address: %q\n", address)
	}
	h.leave = append([]string{
		keep(file, beforePostern),
		unlessHas(file, mark, "sed -i 's/^[[:blank:]]*smtp_address[[:blank:]]*:/#&/' "+file),
		unlessHas(file, mark, appendFile(file, lines.String())),
	}, restart...)
	h.back = append(append(h.back, restore(file)), restart...)
}
