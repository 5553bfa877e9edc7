-- wrk's side of the workload "upload": a POST with a body of 10 MiB. The request is constant, so wrk builds it once.

wrk.method = "POST"
wrk.body = string.rep("0123456789abcdef", 655360)
wrk.headers["Content-Type"] = "application/octet-stream"
