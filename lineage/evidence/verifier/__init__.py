"""The verifier of evidence bundles, which needs nothing but Python's standard library, and shares no code with the rest.

In a bundle it is one file, `verify.py`: its modules joined (see `assay.lineage.evidence.script`), so that an auditor has one
thing to read, to hash and to run.
"""
