// Package packaging holds what packages and new applications are made of. scripts/dist uses its other files.
package packaging

import _ "embed"

// Unit is the unit of systemd for an application.
//
//go:embed mbserve@.service
var Unit string
