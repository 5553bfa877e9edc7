package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// TestWrite describes the binary of this test, which has no modules: the product, Go and LuaJIT are left.
func TestWrite(t *testing.T) {
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := write(out, binary, "moonbridge", "1.2.3", "2026-01-02T03:04:05Z", "2.1.0"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two documents about the same binary differ")
	}
	var d document
	if err := json.Unmarshal(first.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, p := range d.Packages {
		if ids[p.ID] {
			t.Errorf("two packages have the id %s", p.ID)
		}
		ids[p.ID] = true
	}
	for _, want := range []string{product, "SPDXRef-go-std", "SPDXRef-LuaJIT"} {
		if !ids[want] {
			t.Errorf("no package %s", want)
		}
	}
	for _, r := range d.Relationships {
		if !ids[r.Related] || r.Element != d.ID && !ids[r.Element] {
			t.Errorf("relationship of unknown packages: %v", r)
		}
	}
}

func TestWriteNeedsGoBinary(t *testing.T) {
	if err := write(&bytes.Buffer{}, "main_test.go", "moonbridge", "1", "", ""); err == nil {
		t.Error("no error for a file that is not a Go binary")
	}
}
