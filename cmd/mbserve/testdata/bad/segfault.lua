require("ffi").cdef "int raise(int);"
require("ffi").C.raise(11)
