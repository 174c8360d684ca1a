"""What is claimed, measured: each module here is a command, the packages hold what they need; see README.md."""
