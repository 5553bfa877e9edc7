package servers

import "testing"

func TestRelative(t *testing.T) {
	s := Settings{Benchmarks: "/home/x/src/benchmarks", Temp: "/tmp/moonbridge-1"}
	tests := []struct{ name, in, want string }{
		{"of the repository", "/home/x/src/bin/mbserve /home/x/src/benchmarks/scripts/hello.lua 80", "bin/mbserve benchmarks/scripts/hello.lua 80"},
		{"a name that begins like the repository's", "/home/x/src2/bin/mbserve --debug", "mbserve --debug"},
		{"temporary", "/tmp/moonbridge-1/peer-gnet 127.0.0.1:1 hello", "TMP/peer-gnet 127.0.0.1:1 hello"},
		{"of the system", "/usr/sbin/nginx -p /tmp/moonbridge-1/n", "/usr/sbin/nginx -p TMP/n"},
		{"the folder itself", "-out /home/x/src", "-out ."},
		{"in a flag", "-mbserve=/home/x/src/bin/other -out=/home/y/results a=b", "-mbserve=bin/other -out=results a=b"},
		{"already relative", "run.sh -mbserve ../bin/mbserve", "run.sh -mbserve ../bin/mbserve"},
	}
	for _, test := range tests {
		if got := s.Relative(test.in); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
