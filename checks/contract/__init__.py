"""How a contract is written, read and compiled to rules."""
