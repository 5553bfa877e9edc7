package main

// Centrifugo wraps each message in JSON, so its subscribers get some 40 bytes more than those of the others.
const (
	centrifugo        = "centrifugo"
	centrifugoEvents  = "/connection/uni_sse?cf_connect=%7B%22subs%22:%7B%22all%22:%7B%7D%7D%7D"
	centrifugoPublish = "/api/publish"
	centrifugoMessage = `{"channel":"all","data":"%s"}`
)

// centrifugoConf is its configuration: nobody needs a token, and a history is kept, as elsewhere.
const centrifugoConf = `{
	"http_server": { "address": "127.0.0.1", "port": %d },
	"log": { "level": "error" },
	"http_api": { "insecure": true },
	"uni_sse": { "enabled": true },
	"client": { "allow_anonymous_connect_without_token": true, "connection_limit": 0, "ping_interval": "1h", "pong_timeout": "1m" },
	"channel": { "without_namespace": {
		"allow_subscribe_for_anonymous": true, "allow_subscribe_for_client": true, "history_size": 10, "history_ttl": "60s"
	} }
}
`
