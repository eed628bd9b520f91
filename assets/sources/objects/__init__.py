"""Files that upstreams drop into an object store: listed, copied to this machine when they are new, and never mixed."""
