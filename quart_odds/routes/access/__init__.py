"""Access control: who may send requests, how many, and how refusals are answered."""
