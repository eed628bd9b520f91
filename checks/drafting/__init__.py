"""A first contract, drafted from data."""
