//go:build lua54

package lua

// What the tests see of the Lua that they run with.
const (
	luaName    = "Lua 5.4."
	luaModules = "5.4"    // in the names of directories
	luaInPcall = "listen" // the name of a C function that pcall has called
)
