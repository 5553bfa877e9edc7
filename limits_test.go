package moonbridge_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestLimitsTable checks that the limits in docs/ARCHITECTURE.md stand in the code as the table says.
func TestLimitsTable(t *testing.T) {
	doc, err := os.ReadFile("docs/ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	blanks := regexp.MustCompile(`[ \t]+`)
	rows := regexp.MustCompile("(?m)^\\|.*\\| `([^`:]+\\.(?:go|h|c)): ([^`]+)` \\|$").FindAllStringSubmatch(string(doc), -1)
	if len(rows) < 25 {
		t.Fatalf("%d rows found in the table", len(rows))
	}
	for _, row := range rows {
		file, text := row[1], row[2]
		source, err := os.ReadFile(file)
		if err != nil {
			t.Error(err)
			continue
		}
		// gofmt aligns columns with any number of blanks.
		if !strings.Contains(blanks.ReplaceAllString(string(source), " "), text) {
			t.Errorf("%s does not contain %q", file, text)
		}
	}
}
