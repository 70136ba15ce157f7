"""What a request costs: ours against other servers, measured in CPU time of the process tree."""
