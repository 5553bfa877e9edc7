package worker

import "embed"

// library is the Lua files that process_library.c puts into the program. C cannot reach a Go variable before the Go runtime
// starts, so this one is not used: it makes the build notice when one of them changes.
//
//go:embed library/*.lua
var library embed.FS
