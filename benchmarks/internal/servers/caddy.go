package servers

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed caddy/Caddyfile.tmpl
var caddyText string

var caddyTemplate = template.Must(template.New("Caddyfile").Parse(caddyText))

// caddyCommand writes Caddy's configuration, which serves static files only, into the folder dir.
func caddyCommand(address, dir string) (*exec.Cmd, error) {
	var text strings.Builder
	if err := caddyTemplate.Execute(&text, map[string]string{"Address": address, "Dir": dir}); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("caddy", "run", "--config", path, "--adapter", "caddyfile")
	// Whatever it keeps for itself goes to the same folder.
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	return cmd, nil
}
