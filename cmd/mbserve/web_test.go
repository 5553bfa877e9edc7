package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"
)

// luaText posts a piece of Lua to the server of testdata/web.lua.
func (s *instance) luaText(t *testing.T, code string) string {
	t.Helper()
	resp, err := http.Post(s.url("/lua"), "text/plain", strings.NewReader(code))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestWebParts(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/web.lua", "testdata/views")
	for _, c := range []struct{ code, want string }{
		{`return text.escape("<a href='x'>&\"")`, "&lt;a href=&#39;x&#39;&gt;&amp;&quot;"},
		{`return text.escape(nil), text.escape(5), text.escape(text.raw("<b>"))`, " 5 <b>"},
		{`return text.encode("a b/+é"), text.decode("a%20b%2f+%zz%4")`, "a%20b%2f%2b%c3%a9 a b/+%zz%4"},
		{`return text.query{ q = "new moon", tag = { "a", "b" }, n = 5 }`, "n=5&q=new%20moon&tag=a&tag=b"},
		{`return text.base64(""), text.base64("f"), text.base64("fo"), text.base64("foo"), text.base64("\255\254\253")`, " Zg Zm8 Zm9v __79"},
		{`for i = 0, 200 do local s = require("moonbridge_crypto").random(i + 1) if text.unbase64(text.base64(s)) ~= s then return i end end return "same"`, "same"},
		{`return text.unbase64("Zg=="), text.unbase64("Z"), text.unbase64("Zh"), text.unbase64("Zm9v"), text.unbase64("+/"), #text.unbase64("")`, "nil nil nil foo nil 0"},
		{`return text.hex("\0\255")`, "00ff"},

		{`return accept.best(nil, { "a/b", "c/d" }), accept.best("", { "a/b" })`, "a/b a/b"},
		{`return accept.best("text/*;q=0.3, text/html;q=0.7, */*;q=0.1", { "image/png", "text/plain", "text/html" })`, "text/html"},
		{`return accept.best("text/html;q=0, */*", { "text/html", "text/plain" }), accept.best("text/html", { "image/png" })`, "text/plain nil"},
		{`return accept.best("de-AT, en;q=0.5", { "en-GB", "de" }), accept.best("en", { "de", "en-GB" })`, "en-GB en-GB"},
		{`return accept.best("a/b;q=1.5,c/d;q=x", { "c/d", "a/b" }), accept.best((","):rep(5000), { "a/b" })`, "a/b a/b"},

		{`return json.encode{ b = 1, a = { 1, 2.5, "x" }, c = json.array{}, d = {}, e = json.null, f = false }`, `{"a":[1,2.5,"x"],"b":1,"c":[],"d":{},"e":null,"f":false}`},
		{`return json.encode("\0\31\"\\/\n\127é")`, `"\u0000\u001f\"\\/\n` + "\x7fé" + `"`},
		{`return json.encode(1e15), json.encode(2^53), json.encode(-0.1), json.encode(1e300), json.encode(0.1 + 0.2)`,
			"1000000000000000 9007199254740992 -0.1 1e+300 0.30000000000000004"},
		{`return select(2, pcall(json.encode, 0/0))`, "json: a number that JSON does not have: …"},
		{`return select(2, pcall(json.encode, { 1, nil, 3, [5] = 4 }))`, "json: a list with holes…"},
		{`return select(2, pcall(json.encode, { 1, a = 2 }))`, "json: an object has a number as a name…"},
		{`return select(2, pcall(json.encode, print))`, "json: a value of type function…"},
		{`local t = {} t.t = t return select(2, pcall(json.encode, t))`, "json: tables are nested too deeply…"},
		{`return (json.decode("[1,")), type(select(2, json.decode("[1,")))`, "nil string"},

		{`local r = router.new():add("GET", "/a/:x", 1):add("GET", "/a/b", 2):add("GET", "/a/:x/c", 3):add("GET", "/*all", 4)
		  local function f(p) local v, params = r:find(p) return v.GET.value, params(v.GET) end
		  return f("a/b"), select(2, f("a/b%2Fc")), (f("a/b/c")), select(2, f("a/b/d")), select(2, f("")), select(2, f("a/"))`,
			`2 {"x":"b/c"} 3 {"all":"a/b/d"} {"all":""} {"all":"a/"}`},
		{`return router.new():add("GET", "/a", 1):find("a/b"), router.new():add("GET", "/:a", 1):find(""), router.new():add("GET", "/*a", 1):find(("/"):rep(5000))`, "nil nil nil"},
		{`return select(2, pcall(router.add, router.new(), "GET", "a", 1))`, `route "a": it has to begin with a slash`},
		{`return select(2, pcall(router.add, router.new(), "GET", "/*a/b", 1))`, `route "/*a/b": *a has to be last`},
		{`return select(2, pcall(router.add, router.new(), "GET", "/:", 1))`, `route "/:": a name of letters…`},
		{`local r = router.new():add("GET", "/a", 1) return select(2, pcall(r.add, r, "GET", "/a", 1))`, `route "/a": GET is given twice`},

		{`return cookie.field("a", "b c;"), cookie.field("a", "", { http_only = false, same_site = "None", domain = "x.org", max_age = 5.7, path = "/p" })`,
			"a=b%20c%3b; Path=/; HttpOnly; SameSite=Lax a=; Path=/p; Domain=x.org; Max-Age=5; Secure; SameSite=None"},
		{`return select(2, pcall(cookie.field, "a b", 1))`, `cookie: name "a b" has characters…`},
		{`return select(2, pcall(cookie.field, "a", 1, { path = "/;x" }))`, `cookie: path "/;x" has characters…`},
		{`return select(2, pcall(cookie.field, "a", 1, { same_site = "lax" }))`, "cookie: same_site is…"},
		{`local s = cookie.sign("k", "n", "v\0;", 100) return cookie.verify("k", "n", s) == "v\0;", cookie.verify("k", "m", s), cookie.verify("j", "n", s), cookie.verify("k", "n", nil)`, "true nil nil nil"},
		{`return (cookie.verify("k", "n", cookie.sign("k", "n", "v", -5))), cookie.verify("k", "n", "a.b"), cookie.verify("k", "n", ("1"):rep(40) .. "." .. ("9"):rep(500) .. ".x")`, "nil nil nil"},
		{`local s = cookie.sign("k", "n", "v") return cookie.verify("k", "n", (s:gsub("^.", "x")))`, "nil"},

		{`return template.compile("a\r\n\0\"\\<%= x %>]]", "t"){ x = "<" }`, "a\r\n\x00\"\\&lt;]]"},
		{`return select(2, pcall(template.compile, "a\n<% x", "t"))`, "t:2: <% without %>"},
		{`return select(2, pcall(template.compile, "a\n<% if %>", "t"))`, "t:2: …"},
		{`return select(2, pcall(template.compile("a\n\n<% y = 1 %>", "t")))`, `t:3: assignment to "y", which is no local variable…`},
		{`local f f = template.compile("<% if n > 0 then %><%= n %><%- f{ n = n - 1, f = f } %><%= n %><% end %>") return f{ n = 2, f = f }`, "2112"},
	} {
		got := s.luaText(t, c.code)
		begin, cut := strings.CutSuffix(c.want, "…")
		if got != c.want && !(cut && strings.HasPrefix(got, begin)) {
			t.Errorf("%s:\n%s, want\n%s", c.code, got, c.want)
		}
	}
}

// The decoder in Lua and cjson, where it is installed, agree.
func TestWebJSONDecoders(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/web.lua", "testdata/views")
	for text, valid := range map[string]bool{
		`{"a": [1, -2.5e3, true, false, null, "x"], "b": {}}`: true, ` [ 1 ] `: true, `"\u00e9\ud83c\udf19\n\/"`: true, `0`: true, `[[[[1]]]]`: true,
		`[1,]`: false, `{"a":1,}`: false, `{a:1}`: false, `[1 2]`: false, `"abc`: false, `"\x"`: false, ``: false,
		`{"a"}`: false, `tru`: false, `[1]x`: false, strings.Repeat("[", 200): false, `"\ud800"`: false,
	} {
		code := `local s = ` + luaQuote(text) + `
local ok, v = pcall(json.decode_in_lua, s)
local w, e = json.decode(s)
return ok, e == nil, ok and json.encode(v) == json.encode(w)`
		want := "false false false"
		if valid {
			want = "true true true"
		}
		if got := s.luaText(t, code); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
	for _, text := range []string{"01", "1.", "-", "+1", "1e", "nul", "NaN", "Infinity", ".5", "[1,,2]", "[", "{", `{"a":`, "\x00"} {
		if got := s.luaText(t, "return (pcall(json.decode_in_lua, "+luaQuote(text)+"))"); got != "false" {
			t.Errorf("%q is taken", text)
		}
	}
}

func luaQuote(s string) string {
	var b bytes.Buffer
	b.WriteByte('"')
	for _, c := range []byte(s) {
		b.WriteString("\\" + string([]byte{'0' + c/100, '0' + c/10%10, '0' + c%10}))
	}
	return b.String() + `"`
}

func TestWebTemplates(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/web.lua", "testdata/views")
	want := "<title>&lt;T&gt;</title>\n<h1>&lt;T&gt;</h1>\n<li>1</li>\n<li>&amp;</li>\n/page/page <br> \n"
	for range 2 {
		if got := get(t, s.url("/page/page")); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for path, wanted := range map[string]string{
		"/page/wrong": "testdata/views/wrong.html:4: attempt to index ", "/page/endless": "includes are nested too deeply",
		"/page/missing": "testdata/views/missing.html: No such file", "/page/..%2Fweb": "leads out of the directory", "/page/%2Fetc": "leads out",
	} {
		if resp, _ := answerTo(t, "GET", s.url(path)); resp.StatusCode != 500 {
			t.Errorf("%s: %s", path, resp.Status)
		}
		s.wait("level=ERROR", wanted)
	}
	if got := get(t, s.url("/page/page")); got != want {
		t.Errorf("after errors: %q", got)
	}
}

// An error that the library catches and raises again has the traceback of its place.
func TestWebTraceback(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/web.lua", "testdata/views")
	if resp, body := answerTo(t, "GET", s.url("/fail")); resp.StatusCode != 500 || body != "Internal Server Error\n" {
		t.Errorf("%s %q", resp.Status, body)
	}
	s.wait("level=ERROR", `msg="testdata/web.lua:28: attempt to index`, `traceback="stack traceback:`, "testdata/web.lua:28: in function")
}

func TestWebCookieSession(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/web.lua", "testdata/views")
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar}
	ask := func(path string) (string, *http.Response) {
		t.Helper()
		resp, err := client.Get(s.url(path))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return string(b), resp
	}
	if got, resp := ask("/get"); got != "nil" || resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("%q, cookie %q", got, resp.Header.Get("Set-Cookie"))
	}
	ask("/set/moon")
	if got, resp := ask("/get"); got != "moon" || resp.Header.Get("Set-Cookie") != "" {
		t.Errorf("%q, cookie %q", got, resp.Header.Get("Set-Cookie"))
	}
	if _, resp := ask("/large"); resp.StatusCode != 500 {
		t.Errorf("%s", resp.Status)
	}
	s.wait("level=ERROR", "do not fit into a cookie")
	if got, _ := ask("/get"); got != "moon" {
		t.Errorf("%q", got)
	}
}

// What a client or an application puts into the response cannot add lines to its head, or lead to another site unnoticed.
func TestWebResponseSafe(t *testing.T) {
	t.Parallel()
	s := start(t, "testdata/web.lua", "testdata/views")
	for path, want := range map[string]int{"/split": 500, "/away?to=//evil.example": 500, "/away?to=/%0d%0aX:y": 500, "/away?to=/%5cevil": 500} {
		if resp, _ := answerTo(t, "GET", s.url(path)); resp.StatusCode != want || resp.Header.Get("Set-Cookie") != "" || resp.Header.Get("X") != "" {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}
