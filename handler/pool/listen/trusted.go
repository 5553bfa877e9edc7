package listen

import (
	"fmt"

	"moonbridge/handler/forwarded"
)

// trustedName is an option whose value is a list. Each string in it comes as an entry whose key is the name and a NUL.
const trustedName = "trusted_proxies"

// trustedMax bounds the proxies: each request is compared with all of them.
const trustedMax = 1000

// addTrusted adds a proxy.
func (o *Options) addTrusted(v value) error {
	s, err := v.str()
	if err == nil {
		_, err = forwarded.New([]string{s})
	}
	if err == nil && len(o.TrustedProxies) == trustedMax {
		err = fmt.Errorf("more than %d entries", trustedMax)
	}
	if err != nil {
		return fmt.Errorf("option %s: %w", trustedName, err)
	}
	o.TrustedProxies = append(o.TrustedProxies, s)
	return nil
}
