//go:build !lua54

package worker

// What the tests see of the Lua that they run with.
const (
	luaName    = "LuaJIT 2.1"
	luaModules = "5.1" // in the names of directories
	luaPackage = "luajit"
)
