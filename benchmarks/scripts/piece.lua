-- 64 KiB, of which the answer of the workload "download" consists.

return ("0123456789abcdef"):rep(4096)
