//go:build !lua54

package worker

/*
#cgo pkg-config: luajit
#cgo LDFLAGS: -lm
#include <luajit.h>
*/
import "C"

// implementation is what Version says.
const implementation = C.LUAJIT_VERSION
