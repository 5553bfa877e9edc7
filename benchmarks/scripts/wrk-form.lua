-- wrk's side of the workload "form": a form of 1 KiB with five fields. The request is constant, so wrk builds it once.

local body = "title=Order+no.+17&name=Man+in+the+Moon&email=moon%40example.org&agreed=yes&text="
body = body .. string.rep("Gr%C3%BC%C3%9Fe+vom+Mond.+", 64)

wrk.method = "POST"
wrk.body = string.sub(body, 1, 1024)
wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
