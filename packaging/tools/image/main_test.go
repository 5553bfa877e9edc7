package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestImage makes the image of a program of the system, and follows the references from its index to the layer.
func TestImage(t *testing.T) {
	site := t.TempDir()
	if err := os.WriteFile(filepath.Join(site, "main.lua"), []byte("-- hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := source{version: "1.2.3", binary: "/bin/sh", site: site, time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	first, second := filepath.Join(t.TempDir(), "a.tar"), filepath.Join(t.TempDir(), "b.tar")
	for _, out := range []string{first, second} {
		if err := s.write(out); err != nil {
			t.Fatal(err)
		}
	}
	archive, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(second); !bytes.Equal(archive, again) {
		t.Error("two images of the same files differ")
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
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	decode(t, resolve(t, blobs, manifest.Config), &config)
	z, err := gzip.NewReader(bytes.NewReader(resolve(t, blobs, manifest.Layers[0])))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if got := "sha256:" + digestOf(layer); got != config.RootFS.DiffIDs[0] {
		t.Errorf("layer %s, and %s in the configuration", got, config.RootFS.DiffIDs[0])
	}
	files := entries(t, layer)
	for _, name := range []string{config.Config.Entrypoint[0], config.Config.Cmd[2], "/etc/passwd", "/tmp/"} {
		if _, ok := files[strings.TrimPrefix(name, "/")]; !ok {
			t.Errorf("the layer has no %s", name)
		}
	}
}

func entries(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	found := make(map[string][]byte)
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if err == io.EOF {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		if found[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func resolve(t *testing.T, blobs map[string][]byte, d descriptor) []byte {
	t.Helper()
	data := blobs["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")]
	if len(data) != d.Size || "sha256:"+digestOf(data) != d.Digest {
		t.Fatalf("blob of %v has %d bytes and the checksum %s", d, len(data), digestOf(data))
	}
	return data
}

func decode(t *testing.T, data []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(data, v); err != nil {
		t.Fatal(err)
	}
}
