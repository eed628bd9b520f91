"""The shipped domain, and the example to copy: a support desk."""
