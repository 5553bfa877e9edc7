// Command image writes a container image of mbserve without a daemon: an OCI image layout in a tar archive, which podman, skopeo,
// crane and docker load. The image has no distribution in it: only the binary, the C library that it needs, a few files of /etc,
// and an example site.
//
//	image -version VERSION -time RFC3339 -binary mbserve -site DIRECTORY -out FILE
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"time"
)

func main() {
	var s source
	created := flag.String("time", "", "time of the files, in RFC 3339")
	out := flag.String("out", "", "archive to be written")
	flag.StringVar(&s.version, "version", "", "version of mbserve")
	flag.StringVar(&s.binary, "binary", "", "the binary")
	flag.StringVar(&s.site, "site", "", "directory of the example site")
	flag.Parse()
	var err error
	if s.time, err = time.Parse(time.RFC3339, *created); err == nil {
		err = s.write(*out)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

// source is what the image is made of.
type source struct {
	version, binary, site string
	time                  time.Time
}

// user is the one of the process: "nobody" on most systems, without rights to any file.
const user = 65534

// etc has what getpwuid and resolvers look for.
var etc = map[string]string{
	"etc/passwd":        "root:x:0:0:root:/root:/sbin/nologin\nmbserve:x:65534:65534:mbserve:/srv/app:/sbin/nologin\n",
	"etc/group":         "root:x:0:\nmbserve:x:65534:\n",
	"etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

func (s source) write(out string) error {
	layer, err := s.layer()
	if err != nil {
		return err
	}
	archive, err := s.layout(layer)
	if err != nil {
		return err
	}
	return os.WriteFile(out, archive, 0o644)
}

// layer returns the files of the image as an archive.
func (s source) layer() ([]byte, error) {
	files := map[string]string{"usr/bin/mbserve": s.binary} // what they are copied from
	libraries, err := librariesOf(s.binary)
	if err != nil {
		return nil, err
	}
	for _, l := range libraries {
		files[l[1:]] = l
	}
	site, err := filepath.Glob(filepath.Join(s.site, "*"))
	if err != nil {
		return nil, err
	}
	for _, f := range site {
		files["srv/app/"+filepath.Base(f)] = f
	}
	a := newArchive(s.time)
	for name, text := range etc {
		a.add(name, 0o644, []byte(text))
	}
	for name, from := range files {
		data, err := os.ReadFile(from)
		if err != nil {
			return nil, err
		}
		mode := int64(0o755)
		if path.Dir(name) == "srv/app" {
			mode = 0o644
		}
		a.add(name, mode, data)
	}
	a.directory("tmp", 0o1777)
	for _, name := range []string{"dev", "proc", "sys"} { // the runtime mounts these
		a.directory(name, 0o555)
	}
	a.directory("run", 0o755)
	return a.bytes()
}

var libraryPath = regexp.MustCompile(`(?m)(?:=> |^\s*)(/\S+) \(0x`)

// librariesOf returns the shared libraries of a binary, the loader included.
func librariesOf(binary string) ([]string, error) {
	out, err := exec.Command("ldd", binary).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", binary, err)
	}
	var list []string
	for _, m := range libraryPath.FindAllSubmatch(out, -1) {
		list = append(list, string(m[1]))
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("ldd %s: no libraries in %q", binary, out)
	}
	return list, nil
}

// descriptor refers to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

const (
	typeManifest = "application/vnd.oci.image.manifest.v1+json"
	typeConfig   = "application/vnd.oci.image.config.v1+json"
	typeLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	typeIndex    = "application/vnd.oci.image.index.v1+json"
)

// layout returns the archive of the image: its index, and blobs named by their checksums.
func (s source) layout(layer []byte) ([]byte, error) {
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	z.Write(layer)
	if err := z.Close(); err != nil {
		return nil, err
	}
	a := newArchive(s.time)
	blob := func(mediaType string, data []byte) descriptor {
		digest := digestOf(data)
		a.add("blobs/sha256/"+digest, 0o644, data)
		return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(data)}
	}
	config, err := json.Marshal(s.config("sha256:" + digestOf(layer)))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": typeManifest,
		"config": blob(typeConfig, config), "layers": []descriptor{blob(typeLayer, packed.Bytes())},
	})
	if err != nil {
		return nil, err
	}
	entry := blob(typeManifest, manifest)
	entry.Annotations = map[string]string{"org.opencontainers.image.ref.name": "moonbridge:latest"}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeIndex, "manifests": []descriptor{entry}})
	if err != nil {
		return nil, err
	}
	a.add("index.json", 0o644, index)
	a.add("oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`))
	return a.bytes()
}

// config says how the image is run. The argument "all" has the example site listen on all interfaces of the container.
func (s source) config(layer string) map[string]any {
	created := s.time.UTC().Format(time.RFC3339)
	return map[string]any{
		"created": created, "architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{
			"User": fmt.Sprintf("%d:%d", user, user), "WorkingDir": "/srv/app", "StopSignal": "SIGTERM",
			"Env":          []string{"PATH=/usr/bin"},
			"Entrypoint":   []string{"/usr/bin/mbserve"},
			"Cmd":          []string{"--log-format", "json", "/srv/app/main.lua", "all"},
			"ExposedPorts": map[string]any{"8080/tcp": struct{}{}},
			"Labels": map[string]string{
				"org.opencontainers.image.title": "moonbridge", "org.opencontainers.image.version": s.version,
				"org.opencontainers.image.licenses": "MIT",
			},
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{layer}},
		"history": []map[string]any{{"created": created, "created_by": "mbserve and its C library"}},
	}
}

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// archive collects entries, and writes them in the order of their names, so that the same entries give the same bytes.
type archive struct {
	time    time.Time
	entries map[string]entry
}

type entry struct {
	mode      int64
	data      []byte
	directory bool
}

func newArchive(t time.Time) *archive { return &archive{time: t, entries: make(map[string]entry)} }

func (a *archive) add(name string, mode int64, data []byte) {
	a.entries[name] = entry{mode: mode, data: data}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		a.directory(dir, 0o755)
	}
}

func (a *archive) directory(name string, mode int64) {
	a.entries[name+"/"] = entry{mode: mode, directory: true}
}

func (a *archive) bytes() ([]byte, error) {
	var names []string
	for name := range a.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range names {
		e := a.entries[name]
		h := &tar.Header{Name: name, Mode: e.mode, Size: int64(len(e.data)), ModTime: a.time, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if e.directory {
			h.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.Copy(w, bytes.NewReader(e.data)); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
