"""fastroute, installed in the test cluster as by users: the chart, its rights, its restarts, its documentation."""
