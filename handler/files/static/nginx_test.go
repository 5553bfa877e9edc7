package static

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"moonbridge/handler/files/filestest"
	"moonbridge/reactor/reactortest"
)

// differences is the document with the reasons for all differences.
const differences = "../../../docs/internals/files.md"

// nginx serves a directory, and returns a rig that talks to it.
func nginx(t *testing.T, root string) *rig {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("nginx is not installed")
	}
	address, dir := reactortest.FreePort(t), t.TempDir()
	conf := fmt.Sprintf(`daemon off; master_process off; pid %[1]s/pid; error_log %[1]s/error;
events { worker_connections 100; }
http {
	access_log off; root %[2]s; gzip_static on; sendfile on;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen %[3]s; }
}
`, dir, root, address)
	if err := os.WriteFile(dir+"/conf", []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-p", dir, "-c", dir+"/conf", "-e", dir+"/error")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for end := time.Now().Add(patience); ; {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
			break
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(dir + "/error")
			t.Fatalf("nginx does not start: %s", log)
		}
	}
	return &rig{t: t, address: address}
}

// caseFiles makes the files of the cases.
func caseFiles(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, name := range []string{"page", "empty", "young"} {
		path := filepath.Join(root, name)
		if err := os.WriteFile(path, filestest.Content(name), 0o644); err != nil {
			t.Fatal(err)
		}
		at := filestest.Modified
		if name == "young" {
			at = time.Now().Add(time.Hour) // stays young for as long as the test takes
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// answerOf sends the request of a case, for the validators that the server gives the file.
func (r *rig) answerOf(t *testing.T, c *filestest.Case) filestest.Answer {
	t.Helper()
	res, _ := r.send("HEAD", "/"+c.File)
	modified, err := http.ParseTime(res.Header.Get("Last-Modified"))
	if err != nil {
		t.Fatal(err)
	}
	fields := c.Fill(res.Header.Get("ETag"), modified)
	res, body := r.send(c.Method, "/"+c.File, fields...)
	res.Body = stringBody(body)
	got, err := filestest.Read(c.Method, res, filestest.Content(c.File))
	if err != nil {
		t.Errorf("%s: %q: %v", c.Name, fields, err)
	}
	return got
}

// Where nginx answers a case differently, the case says so, with a reason that is in the document.
func TestNginx(t *testing.T) {
	document, err := os.ReadFile(differences)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := filestest.Cases()
	if err != nil {
		t.Fatal(err)
	}
	r := nginx(t, caseFiles(t))
	for _, c := range cases {
		if got := r.answerOf(t, &c); got != c.Nginx {
			t.Errorf("line %d: %s: nginx answers %q, the case has %q", c.Line, c.Name, got, c.Nginx)
		}
		if (c.Nginx != c.Want) != (c.Why != "") {
			t.Errorf("%s: nginx %q, want %q, and the reason is %q", c.Name, c.Nginx, c.Want, c.Why)
		}
		if c.Why != "" && !strings.Contains(string(document), "| `"+c.Why+"` |") {
			t.Errorf("%s: no reason %q in the document", c.Name, c.Why)
		}
	}
	for _, key := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(string(document), -1) {
		if !usesReason(cases, key[1]) {
			t.Errorf("reason %q of the document has no case", key[1])
		}
	}
}

func usesReason(cases []filestest.Case, why string) bool {
	for _, c := range cases {
		if c.Why == why {
			return true
		}
	}
	return false
}

// What nginx answers for paths, where it is something else. The reasons are in the document.
func TestNginxPaths(t *testing.T) {
	root := tree(t, map[string]string{
		"a.txt": "a", "d/index.html": "index", "d/b.txt": "b", "bare/c.txt": "c", ".hidden": "hidden", "a\\b": "backslash", "ä": "umlaut",
		"out": "->/etc/hostname", "in": "->a.txt", "loop": "->loop", "page.html": "original", "page.html.gz": "gz",
	})
	age(t, root+"/page.html", 5) // not younger than the compressed one
	ours, theirs := serve(t, alone(Rule{Prefix: "/", Path: root, Index: IndexDefault})), nginx(t, root)
	for _, c := range []struct {
		request     string
		ours, nginx string // status and body of 200, or Location
	}{
		{"GET /a.txt", "200 a", "200 a"},
		{"GET /a%2Etxt", "200 a", "200 a"},
		{"GET /d/", "200 index", "200 index"},
		{"GET /d", "301 /d/", "301 /d/"},
		{"GET /d?x=1", "301 /d/?x=1", "301 /d/?x=1"},
		{"GET /d/../a.txt", "200 a", "200 a"},
		{"GET /./a.txt", "200 a", "200 a"},
		{"GET /%C3%A4", "200 umlaut", "200 umlaut"},
		{"GET /in", "200 a", "200 a"},
		{"GET /nothing", "404", "404"},
		{"GET /a.txt/", "404", "404"},
		{"GET /loop", "404", "403"},
		{"GET /a%00", "404", "400"},
		{"GET /%", "404", "400"},
		{"GET /%zz", "404", "400"},
		{"GET /../a.txt", "200 a", "400"},
		{"GET /%2e%2e/a.txt", "404", "400"},
		{"GET /d/%2e%2e/a.txt", "404", "200 a"},
		{"GET /d%2Fb.txt", "404", "200 b"},
		{"GET //a.txt", "404", "200 a"},
		{"GET /d//b.txt", "404", "200 b"},
		{"GET /a%5Cb", "404", "200 backslash"},
		{"GET /bare/", "404", "403"},
		{"GET /bare", "404", "301 /bare/"},
		{"GET /.hidden", "404", "200 hidden"},
		{"GET /out", "404", "200 *"},
		{"GET /page.html gzip", "200 gz", "200 gz"},
		{"GET /page.html identity", "200 original", "200 original"},
		{"POST /a.txt", "405", "405"},
		{"PUT /a.txt", "405", "405"},
		{"OPTIONS /a.txt", "405", "405"},
		{"DELETE /nothing", "405", "405"},
	} {
		words := strings.Fields(c.request)
		var fields []string
		if len(words) > 2 {
			fields = append(fields, "Accept-Encoding: "+words[2])
		}
		for who, r := range map[string]*rig{c.ours: ours, c.nginx: theirs} {
			if r == ours && c.ours == c.nginx {
				continue
			}
			if got := pathAnswer(r, words[0], words[1], fields); got != who && !(who == "200 *" && strings.HasPrefix(got, "200")) {
				t.Errorf("%s: %q, want %q", c.request, got, who)
			}
		}
		if c.ours == c.nginx {
			if got := pathAnswer(ours, words[0], words[1], fields); got != c.ours {
				t.Errorf("%s: %q, want %q", c.request, got, c.ours)
			}
		}
	}
}

func pathAnswer(r *rig, method, target string, fields []string) string {
	res, body := r.send(method, target, fields...)
	switch res.StatusCode {
	case 200:
		return "200 " + body
	case 301:
		location := res.Header.Get("Location")
		if _, path, ok := strings.Cut(strings.TrimPrefix(location, "http://"), "/"); ok && strings.HasPrefix(location, "http://") {
			location = "/" + path
		}
		return "301 " + location
	}
	return fmt.Sprint(res.StatusCode)
}
