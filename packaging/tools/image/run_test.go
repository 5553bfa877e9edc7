package main

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRun runs the image that MOONBRIDGE_IMAGE names, in namespaces of its own, as its configuration says: as the user without
// rights, with its own root. It asks for the page, and stops the server as container runtimes do.
func TestRun(t *testing.T) {
	image := os.Getenv("MOONBRIDGE_IMAGE")
	if image == "" {
		t.Skip("MOONBRIDGE_IMAGE names no image: scripts/test-dist does")
	}
	if os.Getuid() != 0 {
		t.Skip("only root can enter another root")
	}
	root := t.TempDir()
	command := unpack(t, image, root)
	script := `set -eu
root=$1
shift
ip link set lo up
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
chroot --userspec=65534:65534 "$root" "$@" &
server=$!
for i in $(seq 600); do
	if curl -fsS http://127.0.0.1:8080/ 2>/dev/null; then
		kill -TERM $server
		wait $server
		exit
	fi
	kill -0 $server
	sleep 0.1
done
exit 1
`
	args := append([]string{"--mount", "--pid", "--net", "--fork", "--kill-child", "sh", "-c", script, "sh", root}, command...)
	cmd := exec.Command("unshare", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, errs.Bytes())
	}
	if !strings.Contains(out.String(), "Moonbridge works") {
		t.Errorf("page: %s", out.Bytes())
	}
}

// unpack extracts the layer of an image into a directory, and returns the command of the image.
func unpack(t *testing.T, image, root string) []string {
	t.Helper()
	archive, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	blobs := entries(t, archive)
	var index, manifest struct {
		Manifests []descriptor
		Config    descriptor
		Layers    []descriptor
	}
	decode(t, blobs["index.json"], &index)
	decode(t, resolve(t, blobs, index.Manifests[0]), &manifest)
	var config struct {
		Config struct{ Entrypoint, Cmd []string }
	}
	decode(t, resolve(t, blobs, manifest.Config), &config)
	z, err := gzip.NewReader(bytes.NewReader(resolve(t, blobs, manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	tar := exec.Command("tar", "-xpf", "-", "-C", root)
	tar.Stdin = z
	if out, err := tar.CombinedOutput(); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	// The temporary directory of a test is not open to other users.
	for dir := root; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return append(config.Config.Entrypoint, config.Config.Cmd...)
}
