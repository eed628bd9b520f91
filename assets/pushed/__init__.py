"""What upstreams send over HTTP: kept before it is acknowledged, then cut into files of the landing folder."""
