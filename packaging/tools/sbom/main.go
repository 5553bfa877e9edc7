// Command sbom writes the list of what is in an mbserve binary, as SPDX 2.3 in JSON:
//
//	sbom -name moonbridge -version VERSION -time RFC3339 -luajit VERSION mbserve
//
// The Go modules are those that the go command has noted in the binary; LuaJIT is linked from the archive of the system.
package main

import (
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
)

func main() {
	name := flag.String("name", "moonbridge", "name of the product")
	version := flag.String("version", "", "its version")
	created := flag.String("time", "", "time of its making, in RFC 3339")
	luajit := flag.String("luajit", "", "version of LuaJIT in it")
	flag.Parse()
	if err := write(os.Stdout, flag.Arg(0), *name, *version, *created, *luajit); err != nil {
		fmt.Fprintln(os.Stderr, "sbom:", err)
		os.Exit(1)
	}
}

// document and the types below are the part of SPDX 2.3 that is written.
type document struct {
	SPDXVersion   string         `json:"spdxVersion"`
	DataLicense   string         `json:"dataLicense"`
	ID            string         `json:"SPDXID"`
	Name          string         `json:"name"`
	Namespace     string         `json:"documentNamespace"`
	Creation      creation       `json:"creationInfo"`
	Packages      []pkg          `json:"packages"`
	Relationships []relationship `json:"relationships"`
}

type creation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type pkg struct {
	Name      string      `json:"name"`
	ID        string      `json:"SPDXID"`
	Version   string      `json:"versionInfo,omitempty"`
	Location  string      `json:"downloadLocation"`
	Analyzed  bool        `json:"filesAnalyzed"`
	License   string      `json:"licenseConcluded"`
	Declared  string      `json:"licenseDeclared"`
	Copyright string      `json:"copyrightText"`
	Checksums []checksum  `json:"checksums,omitempty"`
	Refs      []reference `json:"externalRefs,omitempty"`
}

type checksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type reference struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type relationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

const (
	noAssertion = "NOASSERTION"
	product     = "SPDXRef-product"
)

func write(w io.Writer, binary, name, version, created, luajit string) error {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return err
	}
	sum, err := sumOf(binary)
	if err != nil {
		return err
	}
	d := document{
		SPDXVersion: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: name + "-" + version,
		// The namespace has to be unique for the document: the checksum of the binary is, and is the same in a second build.
		Namespace: "https://spdx.org/spdxdocs/" + name + "-" + version + "-" + sum,
		Creation:  creation{Created: created, Creators: []string{"Tool: moonbridge-sbom"}},
	}
	main := newPackage(name, version, product)
	main.License, main.Declared = "MIT", "MIT"
	main.Checksums = []checksum{{"SHA256", sum}}
	d.Packages = append(d.Packages, main)
	d.relate(d.ID, "DESCRIBES", product)
	for _, m := range info.Deps {
		d.contain(goModule(m))
	}
	d.contain(golang(info.GoVersion))
	if luajit != "" {
		p := newPackage("LuaJIT", luajit, "SPDXRef-LuaJIT")
		p.License, p.Declared = "MIT", "MIT"
		p.Refs = []reference{{"PACKAGE-MANAGER", "purl", "pkg:generic/luajit@" + luajit}}
		d.contain(p)
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(d)
}

func newPackage(name, version, id string) pkg {
	return pkg{Name: name, ID: id, Version: version, Location: noAssertion, License: noAssertion, Declared: noAssertion, Copyright: noAssertion}
}

func (d *document) relate(element, kind, related string) {
	d.Relationships = append(d.Relationships, relationship{element, kind, related})
}

func (d *document) contain(p pkg) {
	d.Packages = append(d.Packages, p)
	d.relate(product, "CONTAINS", p.ID)
}

// goModule is a module with its checksum of go.sum, which is one of all its files ("h1:", the SHA-256 of their list).
func goModule(m *debug.Module) pkg {
	if m.Replace != nil {
		m = m.Replace
	}
	p := newPackage(m.Path, m.Version, "SPDXRef-go-"+identifier(m.Path))
	p.Location = "https://proxy.golang.org/" + m.Path + "/@v/" + m.Version + ".zip"
	p.Refs = []reference{{"PACKAGE-MANAGER", "purl", "pkg:golang/" + m.Path + "@" + m.Version}}
	if sum, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.Sum, "h1:")); err == nil && len(sum) == sha256.Size {
		p.Checksums = []checksum{{"SHA256", hex.EncodeToString(sum)}}
	}
	return p
}

func golang(version string) pkg {
	p := newPackage("Go standard library", version, "SPDXRef-go-std")
	p.License, p.Declared = "BSD-3-Clause", "BSD-3-Clause"
	p.Refs = []reference{{"PACKAGE-MANAGER", "purl", "pkg:golang/std@" + strings.TrimPrefix(version, "go")}}
	return p
}

// identifier replaces what an SPDXID may not have.
func identifier(path string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '-'
	}, path)
}

func sumOf(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
