"""PostgreSQL tables as upstreams whose changes come by a logical replication slot."""
