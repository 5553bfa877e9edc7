// This program makes what a NATS server needs for users with credentials: in a directory a file server.conf, and for a client user.creds.
// With the word nkey it makes a server.conf for a user with a key, and its seed in user.nk. Tests run it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

func main() {
	dir := os.Args[1]
	if len(os.Args) > 2 && os.Args[2] == "nkey" {
		user := pair(nkeys.CreateUser())
		write(dir, "user.nk", seed(user))
		write(dir, "server.conf", fmt.Appendf(nil, "authorization { users = [ { nkey: %s } ] }\n", public(user)))
		return
	}
	operator, system, account, user := pair(nkeys.CreateOperator()), pair(nkeys.CreateAccount()), pair(nkeys.CreateAccount()), pair(nkeys.CreateUser())
	o := jwt.NewOperatorClaims(public(operator))
	s, a := jwt.NewAccountClaims(public(system)), jwt.NewAccountClaims(public(account))
	a.Limits.DiskStorage, a.Limits.MemoryStorage = jwt.NoLimit, jwt.NoLimit
	config := fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n%s: %s\n%s: %s\n}\n",
		text(o.Encode(operator)), public(system), public(system), text(s.Encode(operator)), public(account), text(a.Encode(operator)))
	write(dir, "server.conf", []byte(config))
	creds, err := jwt.FormatUserConfig(text(jwt.NewUserClaims(public(user)).Encode(account)), seed(user))
	check(err)
	write(dir, "user.creds", creds)
}

func pair(k nkeys.KeyPair, err error) nkeys.KeyPair {
	check(err)
	return k
}

func text(s string, err error) string {
	check(err)
	return s
}

func public(k nkeys.KeyPair) string { return text(k.PublicKey()) }

func seed(k nkeys.KeyPair) []byte {
	b, err := k.Seed()
	check(err)
	return b
}

func write(dir, name string, b []byte) { check(os.WriteFile(filepath.Join(dir, name), b, 0o600)) }

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
