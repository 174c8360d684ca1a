"""How time and memory are measured: the sides of `losses` by framework, the servers and clients of `serving`."""
