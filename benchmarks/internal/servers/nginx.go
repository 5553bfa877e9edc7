package servers

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"text/template"
)

//go:embed nginx/*.lua nginx/*.conf.tmpl
var nginxFiles embed.FS

var nginxTemplates = template.Must(template.ParseFS(nginxFiles, "nginx/*.conf.tmpl"))

// nginxConfig renders the configuration for a workload.
func (s *Settings) nginxConfig(w Workload, port int, dir string) ([]byte, error) {
	config, handler, err := w.nginxFile()
	if err != nil {
		return nil, err
	}
	for _, path := range []string{dir, s.Benchmarks, s.NginxModules} {
		// nginx would take these bytes for the end of a word or string.
		if strings.ContainsAny(path, " \t\n\";{}'\\$") {
			return nil, fmt.Errorf("the path %q cannot be used in nginx's configuration", path)
		}
	}
	name := ""
	if os.Geteuid() == 0 {
		// If started by root, nginx would run its workers as another user, who may not be able to read our files.
		me, err := user.Current()
		if err != nil {
			return nil, err
		}
		name = me.Username
	}
	accessLog := "" // none
	if w.accessLog {
		accessLog = accessLogName
	}
	connections := s.Connections + 256 // one worker may get all connections of a run, and nginx counts some of its own
	if w.proxied > 0 {
		connections += s.Connections // to the upstream
	}
	var out bytes.Buffer
	err = nginxTemplates.ExecuteTemplate(&out, config, map[string]any{
		"Modules": s.NginxModules, "User": name, "Workers": s.nginxWorkers(), "Affinity": s.NginxAffinity,
		"Reuseport": s.NginxReuseport, "AccessLog": accessLog, "Type": w.answerType(), "Files": s.Files,
		"NoSendfile": s.NginxNoSendfile, "Static": w.fileBytes > 0, "Precompressed": w.fileBytes > 0 && w.coding != "", "Public": publicName, "Compress": w.compress, "Cached": w.cached,
		"Dir": dir, "Port": port, "Handler": string(handler),
		"Scripts":     filepath.Join(s.Benchmarks, "scripts"),
		"Connections": connections, "Upstream": w.upstream, "TLS": w.tls, "TargetTLS": w.targetTLS, "Certificates": s.Temp,
	})
	return out.Bytes(), err
}

// nginxFile returns the name of the template for the workload, and the text of its handler in Lua.
func (w Workload) nginxFile() (config string, handler []byte, err error) {
	if w.origin {
		return "origin.conf.tmpl", nil, nil
	}
	if w.proxied > 0 {
		return "proxy.conf.tmpl", nil, nil
	}
	handler, err = nginxFiles.ReadFile("nginx/" + w.handlerName() + ".lua")
	if err != nil {
		err = fmt.Errorf("nginx has no handler for workload %s: %w", w.Name, err)
	}
	return "nginx.conf.tmpl", handler, err
}

func (s *Settings) writeNginxConfig(w Workload, port int, dir string) (string, error) {
	config, err := s.nginxConfig(w, port, dir)
	if err != nil {
		return "", err
	}
	if w.origin {
		if err := os.WriteFile(filepath.Join(dir, "body"), w.proxiedBody(), 0o644); err != nil {
			return "", err
		}
	}
	path := filepath.Join(dir, "nginx.conf")
	return path, os.WriteFile(path, config, 0o644)
}

// nginxVersions returns the versions of the Lua module and of LuaJIT that the running nginx has reported.
func nginxVersions(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "versions"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}
