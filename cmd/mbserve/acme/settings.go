package acme

// Settings say where certificates come from and where they are kept.
type Settings struct {
	Storage string // directory
	CA      string // URL of the authority's directory; "": Let's Encrypt
	CARoot  string // file of certificates that the one of the authority's server leads to; "": those of the system
	Email   string // of the operator; may be empty
}

// Check checks what can be checked without the network, besides CARoot.
func (s Settings) Check() error { return checkStorage(s.Storage) }
