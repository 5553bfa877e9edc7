package tcpproxy

import "testing"

func TestConfigOfNoSense(t *testing.T) {
	for _, c := range []Config{{ProxyOut: 3}, {ProxyOut: -1}, {Sniff: SniffBoth + 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v is taken", c)
				}
			}()
			New(c)
		}()
	}
}
