return { name = "module beside the script" }
