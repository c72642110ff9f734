package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A containerEngine runs buildah and podman with storage of its own.
type containerEngine struct {
	t           *testing.T
	environment []string
}

// startContainers returns an engine whose containers end with the test. It needs no daemon, and
// no storage driver of the kernel.
func startContainers(t *testing.T) *containerEngine {
	t.Helper()
	if os.Getuid() != 0 {
		unavailable(t, "containers need root")
	}
	for _, program := range []string{"buildah", "podman", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(t, program+" is not installed: run scripts/install-peers")
		}
	}
	dir := t.TempDir()
	storage, engine := filepath.Join(dir, "storage.conf"), filepath.Join(dir, "containers.conf")
	for path, text := range map[string]string{storage: containerStorage(dir), engine: containerSettings(dir)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e := &containerEngine{t, append(os.Environ(), "CONTAINERS_STORAGE_CONF="+storage, "CONTAINERS_CONF="+engine, "BUILDAH_ISOLATION=chroot")}
	t.Cleanup(func() { e.run("podman", "rm", "--all", "--force", "--time", "0") })
	return e
}

// containerStorage is a storage.conf that keeps all images in a folder.
func containerStorage(dir string) string {
	return fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = \"%[1]s/storage\"\nrunroot = \"%[1]s/run\"\n", dir)
}

// containerSettings is a containers.conf that keeps all else there.
func containerSettings(dir string) string {
	return fmt.Sprintf("[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n"+
		"tmp_dir = \"%[1]s/tmp\"\nvolume_path = \"%[1]s/volumes\"\nstatic_dir = \"%[1]s/static\"\n"+
		"[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n", dir)
}

func (e *containerEngine) try(command ...string) (output string, err error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = e.environment
	text, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(text)), err
}

// run runs a command that has to succeed.
func (e *containerEngine) run(command ...string) (output string) {
	e.t.Helper()
	output, err := e.try(command...)
	if err != nil {
		e.t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, output)
	}
	return output
}

// image builds the container image, and returns its name.
func (e *containerEngine) image() (name string) {
	e.t.Helper()
	if err := noteSources(); err != nil {
		e.t.Fatal(err)
	}
	e.run("../scripts/build-image")
	return "localhost/postern"
}

// The image, run by the commands of docs/operating.md, runs as a user without rights, on a root
// folder that it cannot change. It is healthy once it takes mail. Mail and ledger are in the volume,
// and survive the container.
func TestContainerImage(t *testing.T) {
	t.Parallel()
	run, look := documented(t, "operating.md", "podman run "), documented(t, "operating.md", "podman exec ")
	if !strings.HasSuffix(run, " localhost/postern") || !strings.Contains(run, " --publish 25:2525 ") {
		t.Fatalf("the documentation has another command: %s", run)
	}
	e := startContainers(t)
	e.image()
	named := func(command, name string) []string {
		return strings.Fields(strings.NewReplacer("--name postern ", "--name "+name+" ", "exec postern ", "exec "+name+" ",
			"--publish 25:2525", "--network none").Replace(command))
	}
	start := func(name string) (pid int) {
		e.run(named(run, name)...)
		eventually(t, func() error {
			if output, err := e.try("podman", "healthcheck", "run", name); err != nil {
				return fmt.Errorf("the health check: %w: %s\n%s", err, output, e.run("podman", "logs", name))
			}
			return nil
		})
		pid, err := strconv.Atoi(e.run("podman", "inspect", "--format", "{{.State.Pid}}", name))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	pid := start("first")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Uid:\t65532\t65532\t65532\t65532\n", "CapPrm:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("the container's process does not have %q:\n%s", want, status)
		}
	}
	deliverInNetworkOf(t, pid, "127.0.0.1:2525", "contained")
	e.run("podman", "stop", "first")
	if code := e.run("podman", "inspect", "--format", "{{.State.ExitCode}}", "first"); code != "0" {
		t.Errorf("the container ends with exit status %s", code)
	}
	e.run("podman", "rm", "first")

	start("second")
	if out := e.run(named(look, "second")...); !strings.Contains(out, "full") {
		t.Errorf("a new container with the same volume shows\n%s", out)
	}
	stored := maildir(filepath.Join(e.run("podman", "volume", "inspect", "--format", "{{.Mountpoint}}", "postern"), "maildir"))
	if got := len(stored.messages(t)); got != 1 {
		t.Errorf("%d messages are in the volume, want 1", got)
	}
}
