"""The trading workload: one of several strategies for the days to come, with its profit and loss."""
