"""Minutes of mixed load against `fastroute serve`, a part of it mutated; see __main__.py."""
