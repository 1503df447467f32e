"""Networks of the trained methods and what trains them. Needs torch: imported only while fitting."""
