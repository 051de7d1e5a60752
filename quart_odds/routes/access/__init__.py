"""Who may ask, how much, and how a refusal is answered."""
