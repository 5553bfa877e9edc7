//go:build lua54

package worker

/*
#cgo pkg-config: lua5.4
#cgo LDFLAGS: -lm
#include <lua.h>
*/
import "C"

// implementation is what Version says.
const implementation = C.LUA_RELEASE
