"""fastroute installed in the test cluster as users install it: the chart, its rights, its restarts, its documents."""
