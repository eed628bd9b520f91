"""The methods of `assay.Store`, a module a subject. `assay.store` puts them together."""
