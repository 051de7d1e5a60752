"""What goes wrong on request, and how it is asked for."""
