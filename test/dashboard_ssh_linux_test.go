package test

import (
	"fmt"
	"regexp"
	"testing"
)

// The dashboard listens on loopback only. From another machine an administrator opens it by the
// commands of docs/dashboard.md, through OpenSSH.
func TestDashboardThroughSSH(t *testing.T) {
	t.Parallel()
	requirePrograms(t, "ssh", "/usr/sbin/sshd", "curl")
	const deskAddress = "198.51.100.8"
	m := startMachine(t, mxAddress+"/32")
	m.run("useradd --system --home-dir /var/lib/postern postern && install -d -o postern -g postern /var/lib/postern")
	m.write("/etc/postern/postern.toml", "data = \"/var/lib/postern\"\nhostname = \"mx.example.org\"\ndomains = [\"example.org\"]\nlisten = [\"127.0.0.1:25\"]\n")
	m.serve()
	m.write("/etc/hosts", "127.0.0.1 localhost\n"+mxAddress+" mx.example.org\n")
	for _, line := range []string{
		"ip netns add desk && ip link add to-desk type veth peer name eth0 netns desk",
		"ip link set to-desk up && ip route add " + deskAddress + " dev to-desk",
		"ip netns exec desk sh -euc 'ip link set lo up; ip addr add " + deskAddress + " dev eth0; ip link set eth0 up; ip route add " + mxAddress + " dev eth0'",
		"sed -i 's|^\\(root:[^:]*:[^:]*:[^:]*:[^:]*\\):[^:]*:|\\1:/home/root:|' /etc/passwd && mkdir -p -m 700 /home/root/.ssh /run/guide",
		"sed -i 's|^root:[^:]*:|root:*:|' /etc/shadow", // no password, but not locked
		"cd /home/root/.ssh && ssh-keygen -q -t ed25519 -N '' -f id_ed25519 && cp id_ed25519.pub authorized_keys",
		"ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/host && (printf 'mx.example.org '; cat /etc/ssh/host.pub) >/home/root/.ssh/known_hosts",
		"mkdir -p /run/sshd && /usr/sbin/sshd -f /dev/null -o HostKey=/etc/ssh/host -o ListenAddress=" + mxAddress,
	} {
		m.run(line)
	}
	m.eventually("ip netns exec desk ssh-keyscan " + mxAddress + " | grep ed25519") // sshd is in the background before it listens
	const page = "ip netns exec desk curl --silent --show-error --fail --location --cookie /run/cookies --cookie-jar /run/cookies "
	if printed, err := m.output(page + "http://127.0.0.1:8025/"); err == nil {
		t.Errorf("the other machine has the dashboard without ssh:\n%s", printed)
	}

	shell := m.start("ip netns exec desk " + documented(t, "dashboard.md", "ssh "))
	fmt.Fprintln(shell.input, "postern dashboard")
	link := regexp.MustCompile(`http://127\.0\.0\.1:8025/\S+`).FindString(shell.await("/login?token="))
	checkHas(t, "the dashboard", m.run(page+"'"+link+"'"), "<title>", "mx.example.org")
	shell.end()
}
