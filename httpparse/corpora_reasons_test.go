package httpparse

// disagreement is our verdict where it differs from the expected one.
type disagreement struct {
	verdict string
	reason  string
	// then, if not empty, holds the bytes that cause an incomplete request to be refused.
	then string
}

// Reasons that several cases share.
const (
	theirLimit    = "a limit of that project's configuration; ours are wider (RFC 6585 §5 and RFC 9112 §3 leave them to the server)"
	anyMethod     = "any token is a method (RFC 9110 §9.1); the application decides whether to answer 501 or 405"
	anyUnderscore = "\"_\" is a token character (RFC 9110 §5.6.2); servers that map names to variables must tell \"_\" from \"-\", but we do not map"
	trailersDrop  = "trailer fields are dropped whatever their names, so none is merged (RFC 9110 §6.5.1)"
	noFragment    = "a fragment is never sent and is not in the grammar of a target (RFC 9110 §7.1, RFC 9112 §3.2)"
	oneCoding     = "only chunked is implemented; another coding is 501 (RFC 9112 §6.1), and identity is no longer one (RFC 9112 §7)"
	noFold        = "folded lines are refused, one of the two ways that RFC 9112 §5.2 allows"
	noProxy       = "the PROXY protocol is not implemented; without it these bytes are not a request line (RFC 9112 §3)"
	noUserinfo    = "user information in a target must be treated as an error (RFC 9110 §4.2.4)"
	noConnect     = "we are not a proxy; CONNECT is 501 (RFC 9110 §9.3.6, §15.6.2)"
	noUpgrade     = "Upgrade may be ignored (RFC 9110 §7.8); the bytes that follow are then the next request"
	onlyHTTP      = "only HTTP is supported; the version has a different name (RFC 9112 §2.3)"
	needsMore     = "framing is decided at the end of the head, which has not arrived (RFC 9112 §6.3)"
)

var corporaDisagreements = map[string]map[string]disagreement{
	"gunicorn.jsonl": {
		"invalid/001":                     {"incomplete", "the bytes end in a field name (RFC 9112 §8); the complete line is refused", "\r\n"},
		"invalid/003c":                    {"accept", anyMethod, ""},
		"invalid/006":                     {"accept", theirLimit, ""},
		"invalid/007":                     {"accept", theirLimit, ""},
		"invalid/008":                     {"accept", theirLimit, ""},
		"invalid/009":                     {"accept", theirLimit, ""},
		"invalid/010":                     {"accept", theirLimit, ""},
		"invalid/011":                     {"accept", theirLimit, ""},
		"invalid/012":                     {"accept", theirLimit, ""},
		"invalid/017":                     {"accept", theirLimit, ""},
		"invalid/limit_header_default_01": {"accept", theirLimit, ""},
		"invalid/019":                     {"accept", "X-Forwarded fields mean nothing to a parser (RFC 9110 §5.1: unknown fields are ignored)", ""},
		"invalid/040":                     {"accept", anyUnderscore, ""},
		"invalid/041":                     {"accept", "Content-Type does not affect framing; RFC 9110 §5.3 leaves repeated lines to the recipient", ""},
		"invalid/chunked_07":              {"accept", anyUnderscore, ""},
		"invalid/rfc9110_trailer_forbidden_cl_01":       {"accept", trailersDrop, ""},
		"invalid/rfc9110_trailer_forbidden_host_01":     {"accept", trailersDrop, ""},
		"invalid/rfc9110_trailer_forbidden_te_01":       {"accept", trailersDrop, ""},
		"invalid/rfc9112_chunked_missing_final_crlf_01": {"incomplete", "the bytes end in the trailer section (RFC 9112 §8)", "GET / HTTP/1.1\r\n"},
		"valid/005":                             {"reject", noFragment, ""},
		"valid/009":                             {"reject", noFragment, ""},
		"valid/025":                             {"reject", oneCoding, ""},
		"valid/025_line":                        {"reject", oneCoding, ""},
		"valid/028":                             {"reject", "whitespace before the colon must be refused (RFC 9112 §5.1)", ""},
		"valid/029":                             {"reject", oneCoding, ""},
		"valid/030":                             {"reject", oneCoding, ""},
		"valid/099":                             {"incomplete", "Content-Length is 17914, but the body has only 8599 bytes (RFC 9112 §6.3, rule 6)", ""},
		"valid/compat_obs_fold":                 {"reject", noFold, ""},
		"valid/compat_obs_fold_huge":            {"reject", noFold, ""},
		"valid/pp_01":                           {"reject", noProxy, ""},
		"valid/pp_02":                           {"reject", noProxy, ""},
		"valid/pp_04":                           {"reject", noProxy, ""},
		"valid/pp_05":                           {"reject", noProxy, ""},
		"valid/rfc9112_smuggle_gzip_chunked_01": {"reject", oneCoding, ""},
		"valid/rfc9112_smuggle_te_identity_chunked_01": {"reject", oneCoding, ""},
		"valid/rfc9112_target_absolute_userinfo_01":    {"reject", noUserinfo, ""},
		"valid/rfc9112_target_authority_connect_01":    {"reject", noConnect, ""},
		"valid/rfc9112_target_authority_ipv6_01":       {"reject", noConnect, ""},
	},
	"llhttp.jsonl": {
		"connection: No restart when keep-alive is off (1.0)":                                 {"accept", "bytes after a request that is not persistent are not read (RFC 9112 §9.6)", ""},
		"connection: Multiple tokens with folding and LWS":                                    {"reject", noUpgrade, ""},
		"connection: Emitting part of body and pausing":                                       {"incomplete", noUpgrade, ""},
		"connection: Upgrade GET request":                                                     {"reject", noUpgrade, ""},
		"connection: Upgrade POST request":                                                    {"reject", noUpgrade, ""},
		"content-length: Error on `Content-Length` overflow":                                  {"incomplete", needsMore, "\r\n"},
		"content-length: Error on duplicate `Content-Length`":                                 {"incomplete", needsMore, "\r\n"},
		"invalid: HTTP protocol and ANNOUNCE method":                                          {"accept", anyMethod, ""},
		"invalid: Invalid method":                                                             {"accept", anyMethod, ""},
		"method: CONNECT request":                                                             {"reject", noConnect, ""},
		"method: CONNECT request with CAPS":                                                   {"reject", noConnect, ""},
		"method: CONNECT with body":                                                           {"reject", noConnect, ""},
		"method: M-SEARCH request":                                                            {"reject", "asterisk-form is for OPTIONS only (RFC 9112 §3.2.4)", ""},
		"method: SOURCE request with ICE":                                                     {"reject", onlyHTTP, ""},
		"method: OPTIONS request with RTSP":                                                   {"reject", onlyHTTP, ""},
		"method: ANNOUNCE request with RTSP":                                                  {"reject", onlyHTTP, ""},
		"pipelining: Should parse multiple events":                                            {"incomplete", "the last Content-Length is 5, but the body has only 4 bytes (RFC 9112 §6.3, rule 6)", ""},
		"sample: No HTTP version":                                                             {"reject", "HTTP/0.9 is not supported; the version is not optional (RFC 9112 §3)", ""},
		"transfer-encoding: POST with `chunked` as last transfer-encoding":                    {"reject", noFragment, ""},
		"transfer-encoding: POST with `chunked` as last transfer-encoding (multiple headers)": {"reject", noFragment, ""},
		"uri: Fragment in URI":                                                                {"reject", noFragment, ""},
		"uri: Underscore in hostname":                                                         {"reject", noConnect, ""},
		"uri: `host:port` and basic auth":                                                     {"reject", noUserinfo, ""},
	},
	"lighttpd.jsonl": {},
}
