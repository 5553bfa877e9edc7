package worker_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// layers are those of the C files, from bottom to top, as doc.go presents them. A file belongs to the layer that its name
// begins with.
var layers = []string{"base", "dict", "core", "exchange", "request", "socket", "io", "shared", "process", "worker"}

// layerOf returns the number of a file's layer, or -1.
func layerOf(file string) int {
	name := strings.TrimSuffix(strings.TrimSuffix(file, ".c"), ".h")
	return slices.IndexFunc(layers, func(l string) bool { return name == l || strings.HasPrefix(name, l+"_") })
}

// TestLayers checks that every C file belongs to a layer and includes nothing of a higher one, and that nothing of a higher
// one is used but what doc.go lists.
func TestLayers(t *testing.T) {
	sources := readSources(t)
	for _, wrong := range wrongIncludes(sources) {
		t.Error(wrong)
	}
	doc := readDoc(t)
	listed := regexp.MustCompile(`(?m)^//\t(\w+\.c → \w+\.c: \w+)$`).FindAllStringSubmatch(doc, -1)
	var want []string
	for _, m := range listed {
		want = append(want, m[1])
	}
	slices.Sort(want)
	got := upwardUses(sources)
	for _, use := range got {
		if !slices.Contains(want, use) {
			t.Errorf("%s: runs upward and doc.go does not list it", use)
		}
	}
	for _, use := range want {
		if !slices.Contains(got, use) {
			t.Errorf("%s: doc.go lists it and it does not exist", use)
		}
	}
}

// TestLayersAreDocumented checks that doc.go lists the layers in their order, each with all of its C files.
func TestLayersAreDocumented(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^//\t([a-z]+) +(\w+\.c(?: \w+\.c)*)$`).FindAllStringSubmatch(readDoc(t), -1)
	var names []string
	files := map[string][]string{}
	for _, row := range rows {
		if !slices.Contains(names, row[1]) {
			names = append(names, row[1])
		}
		files[row[1]] = append(files[row[1]], strings.Fields(row[2])...)
	}
	if !slices.Equal(names, layers) {
		t.Errorf("layers of doc.go: %q, want %q", names, layers)
	}
	want := map[string][]string{}
	for _, file := range slices.Sorted(maps.Keys(readSources(t))) {
		if i := layerOf(file); i >= 0 && strings.HasSuffix(file, ".c") {
			want[layers[i]] = append(want[layers[i]], file)
		}
	}
	for _, layer := range layers {
		if got := slices.Sorted(slices.Values(files[layer])); !slices.Equal(got, want[layer]) {
			t.Errorf("files of layer %s in doc.go: %q, want %q", layer, got, want[layer])
		}
	}
}

// TestLayersFindMistakes checks the checks.
func TestLayersFindMistakes(t *testing.T) {
	mistakes := map[string]struct {
		files map[string]string
		want  string
	}{
		"upward call": {map[string]string{
			"core.c":   "void mb_low(void)\n{\n\tmb_high();\n}\n",
			"worker.c": "int mb_high(void)\n{\n\treturn 1;\n}\n",
		}, "core.c → worker.c: mb_high"},
		"upward use of a variable": {map[string]string{
			"base.h":    "static inline int mb_low(void) { return mb_high.x; }\n",
			"process.c": "mb_state mb_high = {0};\n",
		}, "base.h → process.c: mb_high"},
		"call of an inline function": {map[string]string{
			"core.c":    "void *p = mb_high;\n",
			"request.h": "static inline int mb_high(void) { return 1; }\n",
		}, "core.c → request.h: mb_high"},
		"definition after two branches": {map[string]string{
			"core.c":   "void mb_low(void) { mb_high(); }\n",
			"socket.c": "#if A\nvoid a(void)\n{\n#else\nvoid b(void)\n{\n#endif\n}\nint mb_high(void)\n{\n}\n",
		}, "core.c → socket.c: mb_high"},
		"downward call, own names, comments": {map[string]string{
			"core.c":   "/* mb_high */\nvoid mb_low(void) { p->mb_high = own(\"mb_high\"); }\nstatic int own(void) { return 0; }\n",
			"worker.c": "static int own(void);\nint mb_high(void) { mb_low(); return own(); }\n",
		}, ""},
		"upward include":    {map[string]string{"core.c": "#include \"worker.h\"\n"}, "core.c includes worker.h"},
		"include in circle": {map[string]string{"core.h": "#include \"core.h\"\n"}, "core.h includes core.h"},
		"unknown include":   {map[string]string{"core.c": "#include \"_cgo_export.h\"\n"}, "core.c includes _cgo_export.h"},
		"layout":            {map[string]string{"core.c": "#include \"layout.h\"\n", "base.h": "#include \"layout.h\"\n"}, "core.c includes layout.h"},
		"own include":       {map[string]string{"core_x.c": "#include \"core.h\"\n#include \"base.h\"\n"}, ""},
		"no layer":          {map[string]string{"other.c": ""}, "other.c belongs to no layer"},
		"half a prefix":     {map[string]string{"corex.c": ""}, "corex.c belongs to no layer"},
	}
	for name, m := range mistakes {
		found := strings.Join(append(wrongIncludes(m.files), upwardUses(m.files)...), "\n")
		if found != m.want {
			t.Errorf("%s: found %q, want %q", name, found, m.want)
		}
	}
}

func readSources(t *testing.T) map[string]string {
	t.Helper()
	sources := map[string]string{}
	for _, pattern := range []string{"*.c", "*.h"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources[file] = string(text)
		}
	}
	return sources
}

func readDoc(t *testing.T) string {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	return string(doc)
}

var include = regexp.MustCompile(`(?m)^#include "([^"]+)"`)

// wrongIncludes lists files without a layer, and includes of anything but lower layers, or the own one in a C file.
// layout.h, which is common to server and workers, is included by base.h alone.
func wrongIncludes(sources map[string]string) (wrong []string) {
	for _, file := range slices.Sorted(maps.Keys(sources)) {
		own := layerOf(file)
		if own < 0 {
			wrong = append(wrong, file+" belongs to no layer")
			continue
		}
		highest := own
		if strings.HasSuffix(file, ".h") {
			highest--
		}
		for _, m := range include.FindAllStringSubmatch(sources[file], -1) {
			i := slices.Index(layers, strings.TrimSuffix(m[1], ".h"))
			if m[1] == "layout.h" && file == "base.h" || i >= 0 && i <= highest {
				continue
			}
			wrong = append(wrong, file+" includes "+m[1])
		}
	}
	return wrong
}

var identifier = regexp.MustCompile(`(\.|->)?\s*\b([A-Za-z_]\w*)`)

// upwardUses lists where a function or a variable is used below the layer that defines it, as "user → definition: name".
func upwardUses(sources map[string]string) []string {
	defined := map[string]string{}
	for file, text := range sources {
		for _, name := range definitions(text) {
			defined[name] = file
		}
	}
	uses := map[string]bool{}
	for file, text := range sources {
		if strings.HasSuffix(file, ".h") {
			text = bodies(text) // what is only declared there is not used
		}
		for _, m := range identifier.FindAllStringSubmatch(code(text), -1) {
			where, ok := defined[m[2]]
			if ok && m[1] == "" && layerOf(where) > layerOf(file) {
				uses[fmt.Sprintf("%s → %s: %s", file, where, m[2])] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(uses))
}

var noCode = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'`)

// code is C without comments and the contents of literals.
func code(text string) string { return noCode.ReplaceAllString(text, " ") }

// split splits C into the code outside braces, each piece up to and including its ; or {, and the code inside braces. Where
// the preprocessor has a choice, each branch begins at the depth of the first.
func split(text string) (outside []string, inside string) {
	var piece, within strings.Builder
	depth, saved := 0, []int(nil)
	for _, line := range strings.SplitAfter(strings.ReplaceAll(code(text), "\\\n", " "), "\n") {
		if directive, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
			directive = strings.TrimSpace(directive)
			switch {
			case strings.HasPrefix(directive, "if"):
				saved = append(saved, depth)
			case strings.HasPrefix(directive, "el") && len(saved) > 0:
				depth = saved[len(saved)-1]
			case strings.HasPrefix(directive, "endif") && len(saved) > 0:
				saved = saved[:len(saved)-1]
			}
			continue
		}
		for _, c := range line {
			if c == '}' {
				depth = max(depth-1, 0)
			} else if depth > 0 {
				within.WriteRune(c)
			} else {
				piece.WriteRune(c)
			}
			if c == '{' {
				depth++
			}
			if depth <= 1 && c == '{' || depth == 0 && (c == ';' || c == '}') {
				outside = append(outside, strings.TrimSpace(piece.String()))
				piece.Reset()
			}
		}
	}
	return outside, within.String()
}

// bodies is the code in braces.
func bodies(text string) string {
	_, inside := split(text)
	return inside
}

var (
	attribute = regexp.MustCompile(`__attribute__\s*\(\(.*?\)\)`)
	function  = regexp.MustCompile(`^[^=(]*?(\w+)\s*\([^=]*\)\s*\{$`)
	variable  = regexp.MustCompile(`^[^=(]*?\w[\s*]+(\w+)\s*(\[[^]]*\]\s*)*(=.*)?[;{]$`)
	local     = regexp.MustCompile(`^(static|typedef|extern|enum|struct|union)\b`)
	inline    = regexp.MustCompile(`^static\s+inline\b`)
)

// definitions are the names of functions and variables that other files can use: those that are not static, and inline
// functions.
func definitions(text string) (names []string) {
	pieces, _ := split(text)
	for _, piece := range pieces {
		piece = strings.Join(strings.Fields(attribute.ReplaceAllString(piece, "")), " ")
		if local.MatchString(piece) && !inline.MatchString(piece) {
			continue
		}
		if m := function.FindStringSubmatch(piece); m != nil {
			names = append(names, m[1])
		} else if m := variable.FindStringSubmatch(piece); m != nil {
			names = append(names, m[1])
		}
	}
	return names
}
