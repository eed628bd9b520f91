"""Upstreams that are asked, by dlt: REST APIs, SaaS products, anything that a dlt resource yields."""
