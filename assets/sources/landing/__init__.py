"""Where upstreams put their files: which of them belong to which partition, what has changed, and what is not read."""
