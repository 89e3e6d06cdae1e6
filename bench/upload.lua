-- wrk: every request carries a body of one MiB.
wrk.method = "POST"
wrk.body = string.rep("x", 1048576)
