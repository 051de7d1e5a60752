"""What the API's bodies look like, for its description and for checking requests."""
