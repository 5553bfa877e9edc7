
local template = require "no.such.module"
