"""Text to vectors: which model (`model`), under which key a vector is kept (`keys`), and how it is computed (`engine`)."""
