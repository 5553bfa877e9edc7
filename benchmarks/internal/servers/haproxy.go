package servers

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed haproxy/haproxy.cfg.tmpl
var haproxyText string

var haproxyTemplate = template.Must(template.New("haproxy.cfg").Parse(haproxyText))

// haproxyCommand writes HAProxy's configuration for a workload of proxies into the folder dir.
func (s *Settings) haproxyCommand(w Workload, address, dir string) (*exec.Cmd, error) {
	mode := "http"
	if strings.HasPrefix(w.Name, "tcp") {
		mode = "tcp"
	}
	certificate := "" // of the upstream
	if w.targetTLS {
		certificate, _ = s.Certificate()
	}
	var text strings.Builder
	err := haproxyTemplate.Execute(&text, map[string]any{
		"Address": address, "Upstream": w.upstream, "Mode": mode, "Threads": s.serverCores(),
		"Connections": s.Connections + 256, "Certificate": certificate,
	})
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
		return nil, err
	}
	return exec.Command("haproxy", "-db", "-f", path), nil
}
