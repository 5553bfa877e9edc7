-- wrk's side of the workloads "precompressed" and "compressed": a client that accepts gzip.

wrk.headers["Accept-Encoding"] = "gzip"
