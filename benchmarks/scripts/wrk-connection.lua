-- wrk's side of the workload "connection": the server closes the connection after each answer, and wrk opens another.

wrk.headers["Connection"] = "close"
