-- wrk's side of the workload "echo": a POST with a body of 1 KiB. The request is constant, so wrk builds it once.

wrk.method = "POST"
wrk.body = string.rep("0123456789abcdef", 64)
wrk.headers["Content-Type"] = "application/octet-stream"
